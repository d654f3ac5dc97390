/* What this processor and this process may use. */
#ifndef VGG11_BASE_CPU_H
#define VGG11_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    bool sse42;       /* has the CRC32 instruction */
    bool avx2;        /* with FMA, and enabled by the kernel */
    bool avx512;      /* F, DQ, BW and VL */
    bool avx512_bf16; /* VDPBF16PS */
    bool amx_bf16;    /* TDPBF16PS, and the kernel granted the tile state to this process */
} cpu_features;

/* Tested once, then cached. The environment variable VGG11_CPU (portable, avx2, avx512, avx512_bf16, amx_bf16) lowers the
 * result to that level, so that the slower paths can be tested on a newer machine; it never raises it. */
const cpu_features *cpu_detect(void);

/* "AMD EPYC 9654 96-Core Processor"; "unknown" if the system does not say. */
const char *cpu_model_name(void);

/* Sorted list of allowed processors, e.g. "0-3,8", into `text`. */
void cpu_allowed_list(char *text, size_t text_bytes);

/* Sizes in bytes of the caches of processor 0; 0 if unknown. */
size_t cpu_cache_bytes(int level);

/* Processors that this process may keep busy by the quotas of its control groups, e.g. 1.5; INFINITY without one. */
double cpu_quota(void);

/* Address space that this process may still map, bytes; SIZE_MAX where nothing limits it (ulimit -v). */
size_t cpu_address_space_left_bytes(void);

/* MemAvailable of the machine, bounded by the cgroup's limit, in bytes; 0 if unknown. */
size_t cpu_memory_available_bytes(void);

/* Largest resident set of this process so far, bytes. */
size_t cpu_memory_peak_bytes(void);

#endif
