/* Peak rates of the machine, measured with all threads of all ranks at work at once. */
#ifndef VGG11_BENCH_MACHINE_PEAKS_H
#define VGG11_BENCH_MACHINE_PEAKS_H

#include <stddef.h>

#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"

/* Rates are sums over all ranks, and the best of several trials. */
typedef struct {
    double fp32_flops;       /* per second */
    const char *fp32_kernel; /* name of the row of peak_flops_kernels with that rate */
    double bf16_flops;       /* per second; 0 where the processor has no bf16 instruction */
    const char *bf16_kernel; /* name of the row of peak_flops_kernels with that rate, or NULL */
    double read_bytes;       /* per second: one array read */
    double copy_bytes;       /* per second: one array read, one written, both counted */
    double update_bytes;     /* per second: the weight update's five streams (read w, v, g; write w, v) */
    size_t array_bytes;      /* size of each array, per rank */
} machine_peaks;

/* How often each rate is measured: for figures to be quoted, or to be done soon. */
enum { MACHINE_PEAKS_CAREFUL = 12, MACHINE_PEAKS_QUICK = 3 };

/* Collective. Raises the rates in *peaks, zeros at first, to those measured now: other work on the machine can only make a measured
 * rate too low. `threads` are this rank's. VGG_UNAVAILABLE on all ranks if there is no memory for the arrays. */
vgg_status machine_peaks_measure(comm *c, int threads, int trials, machine_peaks *peaks);

/* The largest of the three bandwidths, which no traffic exceeds. */
double machine_bandwidth(const machine_peaks *peaks);

#endif
