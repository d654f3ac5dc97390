/* The kernels on emulated tiles, on any machine. */
#define AMX_EMULATED
#define AMX_KERNELS amx_kernels_emulated
#include "kernels/amx.inc.h"
