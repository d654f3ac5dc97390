/* What the machine can do at most, measured with all threads of all ranks at work at once. */
#ifndef VGG11_BENCH_MACHINE_PEAKS_H
#define VGG11_BENCH_MACHINE_PEAKS_H

#include <stddef.h>

#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"

/* Rates are sums over all ranks; each is the best of several trials, as befits a limit. */
typedef struct {
    double fp32_flops;       /* per second */
    const char *fp32_kernel; /* a row's name of peak_flops_kernels */
    double bf16_flops;       /* per second; 0 where the processor has no bf16 instruction */
    const char *bf16_kernel; /* NULL there */
    double read_bytes;       /* per second: one array read */
    double copy_bytes;       /* per second: one array read, one written, both counted */
    double update_bytes;     /* per second: the weight update's five streams (read w, v, g; write w, v) */
    size_t array_bytes;      /* of each of the arrays, per rank */
} machine_peaks;

/* Collective. Raises what is in `limits` (zeros at first) to what is measured now: other work on the machine can only
 * make a limit look lower. `threads` are this rank's. VGG_UNAVAILABLE on all ranks if there is no memory for the
 * arrays. */
vgg_status machine_peaks_measure(comm *c, int threads, machine_peaks *limits);

/* The largest of the bandwidths: no traffic can be faster. */
double machine_bandwidth(const machine_peaks *limits);

#endif
