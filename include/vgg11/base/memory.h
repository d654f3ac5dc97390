/* Aligned memory for large float buffers. */
#ifndef VGG11_BASE_MEMORY_H
#define VGG11_BASE_MEMORY_H

#include <stddef.h>

#include "vgg11/base/status.h"

enum { VGG_ALIGNMENT_BYTES = 64 };

/* Maps `bytes` of zeroed memory, 64-byte aligned at least (2 MiB aligned and advised to use huge pages from 2 MiB on).
 * Pages are not touched: the thread that first writes one places it on its NUMA node. The caller frees with
 * vgg_unmap(pointer, bytes). VGG_UNAVAILABLE if there is no memory. bytes == 0 gives NULL and VGG_OK. */
vgg_status vgg_map(size_t bytes, void **out);
void vgg_unmap(void *pointer, size_t bytes);

/* " (ulimit -v leaves it 712 MiB of address space)" into `text`, or "" where nothing limits that: for messages. Leaves errno alone. */
enum { VGG_LIMIT_TEXT_MAX = 96 };
const char *vgg_limit_text(char text[VGG_LIMIT_TEXT_MAX]);

/* Rounds up to a multiple of `unit` (a power of two). */
static inline size_t vgg_round_up(size_t value, size_t unit) { return (value + unit - 1) & ~(unit - 1); }

/* One block that is first measured and then cut: call arena_reserve() for each piece, arena_open(), arena_take() for
 * each in the same order. Owns the block; arena_close() frees it. Pieces are 64-byte aligned and zero. */
typedef struct {
    char *base;
    size_t size_bytes;
    size_t used_bytes;
} vgg_arena;

void arena_reserve(vgg_arena *arena, size_t bytes);
vgg_status arena_open(vgg_arena *arena);
void *arena_take(vgg_arena *arena, size_t bytes);
void arena_close(vgg_arena *arena);

#endif
