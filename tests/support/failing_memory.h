/* Memory that runs out, for programs into which the linker puts this in place of the C library's allocators (vgg_fail_memory() in
 * cmake/VggTargets.cmake): those calls that the program makes, or that the C library, jansson and zlib make for it. */
#ifndef VGG11_TESTS_SUPPORT_FAILING_MEMORY_H
#define VGG11_TESTS_SUPPORT_FAILING_MEMORY_H

#include <stdint.h>

enum { MEMORY_CHAINS_MAX = 4096 };

/* The first allocation, counted from 1, of each chain of calls that led to one. */
typedef struct {
    int count;
    long first[MEMORY_CHAINS_MAX];
    uint64_t hashes[MEMORY_CHAINS_MAX];
} memory_chains;

/* Counts anew, and lists chains into *of until it is called with NULL. One thread may allocate meanwhile. */
void failing_memory_list(memory_chains *of);

/* Counts anew, and fails the allocation of that number; 0: none. */
void failing_memory_fail(long number);

#endif
