/* Matrix tiles: eight registers of 16 rows x 64 bytes, and the product of bf16 pairs (Intel SDM vol. 2, TDPBF16PS):
 *   c[m][n] += sum over k of a[m][2k] b[k][2n] + a[m][2k+1] b[k][2n+1],  16 x 16 sums in fp32, 16 pairs deep
 * Products of even and products of odd elements are summed separately, from zero, by fused multiply-adds; then the two sums are
 * added, and the result is added to c. Denormals are taken for zero in operands and in results; rounding is to nearest, ties to
 * even.
 *
 * The macros below have two implementations: the processor's instructions and, where AMX_EMULATED is defined, plain C that gives
 * the same bits, for machines without matrix tiles and for sanitizers, which do not see what instructions read and write. Tile
 * numbers must be plain digits.
 */
#ifndef VGG11_KERNELS_AMX_TILE_H
#define VGG11_KERNELS_AMX_TILE_H

#include <stddef.h>
#include <stdint.h>

#include "vgg11/kernels/bf16.h"

enum {
    AMX_TILES = 8,
    AMX_ROWS = 16, /* rows of a tile, and columns of a tile of sums */
    AMX_ROW_BYTES = 64,
    AMX_DEPTH = 32,                          /* bf16 numbers of a row: one product sums over so many */
    AMX_TILE_ELEMENTS = AMX_ROWS * AMX_DEPTH /* bf16 numbers of a whole tile */
};

/* The operand of LDTILECFG. */
typedef struct {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_configuration;

/* All tiles in their full size. */
static inline amx_configuration amx_whole_tiles(void)
{
    amx_configuration whole = {.palette = 1};
    for (int i = 0; i < AMX_TILES; i++) {
        whole.row_bytes[i] = AMX_ROW_BYTES;
        whole.rows[i] = AMX_ROWS;
    }
    return whole;
}

/* The emulation: a function for each instruction, on tiles of the calling thread. It aborts where the processor would raise a
 * fault. */
void amx_emulate_configure(const amx_configuration *configuration);
void amx_emulate_release(void);
void amx_emulate_zero(int tile);
void amx_emulate_load(int tile, const void *from, size_t stride_bytes);
void amx_emulate_store(int tile, void *to, size_t stride_bytes);
void amx_emulate_multiply(int c, int a, int b);

#ifdef AMX_EMULATED
#define AMX_CONFIGURE(configuration) amx_emulate_configure(configuration)
#define AMX_RELEASE() amx_emulate_release()
#define AMX_ZERO(tile) amx_emulate_zero(tile)
#define AMX_LOAD(tile, from, stride_bytes) amx_emulate_load((tile), (from), (stride_bytes))
#define AMX_STORE(tile, to, stride_bytes) amx_emulate_store((tile), (to), (stride_bytes))
#define AMX_MULTIPLY(c, a, b) amx_emulate_multiply((c), (a), (b))
#else
/* Assembly, since GCC's intrinsics do not tell the compiler that they touch memory: it may move stores past them. */
#define AMX_CONFIGURE(configuration) __asm__ volatile("ldtilecfg %0" : : "m"(*(configuration)))
#define AMX_RELEASE() __asm__ volatile("tilerelease" : : : "memory")
#define AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : :)
#define AMX_LOAD(tile, from, stride_bytes) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(from), "r"((size_t)(stride_bytes)) : "memory")
#define AMX_STORE(tile, to, stride_bytes) \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(to), "r"((size_t)(stride_bytes)) : "memory")
#define AMX_MULTIPLY(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)
#endif

#endif
