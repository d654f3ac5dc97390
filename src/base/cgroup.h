/* Private to base: the memory limits of control groups, version 1 and 2. */
#ifndef VGG11_BASE_CGROUP_H
#define VGG11_BASE_CGROUP_H

#include <stddef.h>

/* Bytes that this process may still use, the smallest over its control group and all groups above; SIZE_MAX where nothing
 * limits it. `proc` and `sys` are "/proc" and "/sys/fs/cgroup", or stand-ins of the same shape. Not used memory and file
 * pages that the kernel can drop at once both count as available. */
size_t cgroup_memory_left_bytes(const char *proc, const char *sys);

/* The number after `key` at the start of a line of a file ("MemAvailable:"), or at its very start if key is "";
 * `otherwise` if there is none. */
unsigned long long proc_read_number(const char *path, const char *key, unsigned long long otherwise);

#endif
