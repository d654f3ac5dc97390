/* Private to base: the two ways to a CRC-32C, and the state between calls. */
#ifndef VGG11_BASE_HASH_IMPL_H
#define VGG11_BASE_HASH_IMPL_H

#include <stddef.h>
#include <stdint.h>

/* Both take and return the register itself, without the inversions at either end. */
uint32_t crc32c_by_table(uint32_t state, const unsigned char *data, size_t bytes);
uint32_t crc32c_by_instruction(uint32_t state, const unsigned char *data, size_t bytes); /* needs cpu_detect()->sse42 */

#endif
