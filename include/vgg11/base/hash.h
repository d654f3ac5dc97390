/* Checksums. */
#ifndef VGG11_BASE_HASH_H
#define VGG11_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, continuing from `crc` (0 to start). Uses the SSE4.2 instruction
 * where there is one; same value without. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t bytes);

/* 64-bit hash of `bytes` (fast, not cryptographic): any change of one bit changes it with probability 1 - 2^-64.
 * Independent of alignment and thread count. */
uint64_t hash_bits(const void *data, size_t bytes);

#endif
