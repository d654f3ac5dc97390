/* The kernels on the processor's own tiles. Compiled for AVX512_BF16; called only where the CPU has AMX too. */
#define AMX_KERNELS amx_kernels_native
#include "kernels/amx.inc.h"
