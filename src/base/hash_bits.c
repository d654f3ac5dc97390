#include <xxhash.h>

#include "vgg11/base/hash.h"

uint64_t hash_bits(const void *data, size_t bytes) { return XXH3_64bits(data, bytes); }
