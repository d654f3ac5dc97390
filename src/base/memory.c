#include "vgg11/base/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vgg11/base/cpu.h"

enum { SMALL_PAGE_BYTES = 4096, HUGE_PAGE_BYTES = 2 << 20 };

/* What a request really maps. A whole number of huge pages, so that the tail of a large buffer gets one as well. */
static size_t mapped_bytes(size_t bytes)
{
    return vgg_round_up(bytes, bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : SMALL_PAGE_BYTES);
}

static void *map_pages(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

/* mmap() aligns to small pages only: map one huge page more, and give back what lies around the aligned part. */
static void *map_huge_pages(size_t bytes)
{
    char *pages = map_pages(bytes + HUGE_PAGE_BYTES);
    if (!pages) return NULL;
    char *aligned = (char *)vgg_round_up((uintptr_t)pages, HUGE_PAGE_BYTES);
    size_t before = (size_t)(aligned - pages);
    if (before > 0) munmap(pages, before);
    munmap(aligned + bytes, HUGE_PAGE_BYTES - before);
    madvise(aligned, bytes, MADV_HUGEPAGE); /* advice: small pages do as well, only slower */
    return aligned;
}

const char *vgg_limit_text(char text[VGG_LIMIT_TEXT_MAX])
{
    int before = errno;
    size_t left = cpu_address_space_left_bytes();
    *text = '\0';
    if (left < SIZE_MAX) snprintf(text, VGG_LIMIT_TEXT_MAX, " (ulimit -v leaves it %zu MiB of address space)", left >> 20);
    errno = before;
    return text;
}

vgg_status vgg_map(size_t bytes, void **out)
{
    char limit[VGG_LIMIT_TEXT_MAX];
    *out = NULL;
    if (bytes == 0) return VGG_OK;
    int before = errno;
    errno = ENOMEM;
    if (bytes <= SIZE_MAX - 2 * (size_t)HUGE_PAGE_BYTES)
        *out = bytes >= HUGE_PAGE_BYTES ? map_huge_pages(mapped_bytes(bytes)) : map_pages(mapped_bytes(bytes));
    if (*out) {
        errno = before; /* of which callers tell whether memory ran out */
        return VGG_OK;
    }
    return vgg_fail_errno(VGG_UNAVAILABLE, "no memory for a buffer of %.1f MiB%s", (double)bytes / (1 << 20),
                          vgg_limit_text(limit));
}

void vgg_unmap(void *pointer, size_t bytes)
{
    if (pointer) munmap(pointer, mapped_bytes(bytes));
}

/* Saturates instead of wrapping round: arena_open() then finds no memory of that size. */
static size_t add_saturating(size_t total, size_t bytes)
{
    if (bytes > SIZE_MAX - VGG_ALIGNMENT_BYTES) return SIZE_MAX;
    size_t piece = vgg_round_up(bytes, VGG_ALIGNMENT_BYTES);
    return piece > SIZE_MAX - total ? SIZE_MAX : total + piece;
}

void arena_reserve(vgg_arena *arena, size_t bytes) { arena->size_bytes = add_saturating(arena->size_bytes, bytes); }

vgg_status arena_open(vgg_arena *arena)
{
    void *base;
    arena->used_bytes = 0;
    vgg_status status = vgg_map(arena->size_bytes, &base);
    arena->base = base;
    return status;
}

void *arena_take(vgg_arena *arena, size_t bytes)
{
    size_t used = add_saturating(arena->used_bytes, bytes);
    if (used > arena->size_bytes) {
        fprintf(stderr, "vgg11_dist: internal error: an arena of %zu bytes is asked for %zu more than were reserved\n",
                arena->size_bytes, used - arena->size_bytes);
        abort();
    }
    void *piece = arena->base + arena->used_bytes;
    arena->used_bytes = used;
    return piece;
}

void arena_close(vgg_arena *arena)
{
    vgg_unmap(arena->base, arena->size_bytes);
    *arena = (vgg_arena){0};
}
