/* Checksums. */
#ifndef VGG11_BASE_HASH_H
#define VGG11_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, continuing from `crc` (0 to start). Uses the SSE4.2 instruction
 * where there is one; same value without. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t bytes);

/* XXH3 of `bytes`, 64 bits, by xxHash: fast, not cryptographic. The same on every machine. */
uint64_t hash_bits(const void *data, size_t bytes);

#endif
