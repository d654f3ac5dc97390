/* Private to base: what control groups, version 1 and 2, leave of memory and of processors. */
#ifndef VGG11_BASE_CGROUP_H
#define VGG11_BASE_CGROUP_H

#include <stddef.h>

/* Both are the smallest over the process' own group and all groups above. `proc` and `sys` are "/proc" and "/sys/fs/cgroup", or
 * stand-ins of the same shape. */

/* Bytes that this process may still use; SIZE_MAX where nothing limits it. Memory that is not used counts, and file pages that
 * the kernel can drop. */
size_t cgroup_memory_left_bytes(const char *proc, const char *sys);

/* Processors' worth of time that the quota grants; INFINITY where nothing limits it. */
double cgroup_cpu_quota(const char *proc, const char *sys);

/* The number after `key` at the start of a line of a file ("MemAvailable:"), or at its very start if key is "";
 * `otherwise` if there is none. */
unsigned long long proc_read_number(const char *path, const char *key, unsigned long long otherwise);

#endif
