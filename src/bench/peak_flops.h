/* Multiply-add rates of a processor: one row for each instruction set, with nothing but registers in the loop. */
#ifndef VGG11_BENCH_PEAK_FLOPS_H
#define VGG11_BENCH_PEAK_FLOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/cpu.h"
#include "vgg11/nn/network.h"

typedef struct {
    const char *name;
    vgg_precision precision; /* of the factors; sums are fp32 in all */
    double flops_per_round;  /* a multiply-add counts as two */
    bool (*available)(const cpu_features *features);
    /* Runs `rounds` rounds on this thread; what comes out depends on every one of them. */
    float (*run)(uint64_t rounds);
} peak_flops_kernel;

/* Ended by a row whose name is NULL. */
extern const peak_flops_kernel peak_flops_kernels[];

#endif
