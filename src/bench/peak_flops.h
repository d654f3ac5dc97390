/* Loops that reach a processor's peak rate of multiply-adds: a row for each instruction set, whose loop uses registers only. */
#ifndef VGG11_BENCH_PEAK_FLOPS_H
#define VGG11_BENCH_PEAK_FLOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/cpu.h"
#include "vgg11/nn/network.h"

typedef struct {
    const char *name;
    vgg_precision precision; /* of the factors; sums are fp32 always */
    double flops_per_round;  /* a multiply-add counts as two */
    bool (*available)(const cpu_features *features);
    /* Runs `rounds` rounds on the calling thread; the result depends on every one of them. */
    float (*run)(uint64_t rounds);
} peak_flops_kernel;

/* Ended by a row whose name is NULL. */
extern const peak_flops_kernel peak_flops_kernels[];

#endif
