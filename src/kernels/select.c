/* Which table of kernels this processor can run. */
#include "vgg11/base/cpu.h"
#include "vgg11/kernels/kernels.h"

const simd_kernels *simd_kernels_select(void)
{
#if defined(__x86_64__)
    const cpu_features *cpu = cpu_detect();
    if (cpu->avx512) return &simd_kernels_avx512;
    if (cpu->avx2) return &simd_kernels_avx2;
#endif
    return &simd_kernels_portable;
}

const simd_kernels *simd_kernels_select_bf16(void)
{
#if defined(__x86_64__)
    if (cpu_detect()->avx512_bf16) return &simd_kernels_avx512_bf16;
#endif
    return NULL;
}
