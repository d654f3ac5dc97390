#include <pthread.h>
#include <string.h>

#include "base/hash_impl.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/hash.h"

/* Castagnoli's polynomial, bit-reversed. */
#define POLYNOMIAL UINT32_C(0x82F63B78)

enum { SLICES = 8 };

/* slice_table[k][b]: the register after byte b and then k zero bytes. */
static uint32_t slice_table[SLICES][256];

static void make_slice_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++) state = (state >> 1) ^ (state & 1 ? POLYNOMIAL : 0);
        slice_table[0][byte] = state;
    }
    for (int k = 1; k < SLICES; k++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = slice_table[k - 1][byte];
            slice_table[k][byte] = (before >> 8) ^ slice_table[0][before & 0xff];
        }
}

static uint32_t little_endian_word(const unsigned char *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* Eight bytes a turn (Kounavis and Berry, "Novel table lookup-based algorithms for high-performance CRC generation"). */
uint32_t crc32c_by_table(uint32_t state, const unsigned char *data, size_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_slice_table);
    for (; bytes >= SLICES; bytes -= SLICES, data += SLICES) {
        uint32_t low = state ^ little_endian_word(data), high = little_endian_word(data + 4), next = 0;
        for (int k = 0; k < 4; k++) {
            next ^= slice_table[7 - k][(low >> (8 * k)) & 0xff];
            next ^= slice_table[3 - k][(high >> (8 * k)) & 0xff];
        }
        state = next;
    }
    for (; bytes > 0; bytes--, data++) state = (state >> 8) ^ slice_table[0][(state ^ *data) & 0xff];
    return state;
}

#if defined(__x86_64__)
/* The instruction has a latency of 3 cycles and a throughput of 1: three independent streams keep it busy. They are joined
 * by moving the register of the earlier stream over the later one's bytes, which is linear in its 32 bits. */
enum { STREAMS = 3, STREAM_BYTES = 2048 };

/* shift_table[k][b]: register b << 8k after STREAM_BYTES zero bytes. */
static uint32_t shift_table[4][256];

static void make_shift_table(void)
{
    static const unsigned char zeros[STREAM_BYTES];
    for (int k = 0; k < 4; k++)
        for (int bit = 0; bit < 8; bit++) {
            uint32_t shifted = crc32c_by_table(UINT32_C(1) << (8 * k + bit), zeros, STREAM_BYTES);
            for (int below = 0; below < 1 << bit; below++) shift_table[k][(1 << bit) + below] = shift_table[k][below] ^ shifted;
        }
}

static uint32_t shift_register(uint32_t state)
{
    return shift_table[0][state & 0xff] ^ shift_table[1][(state >> 8) & 0xff] ^ shift_table[2][(state >> 16) & 0xff] ^
           shift_table[3][state >> 24];
}

static inline uint64_t native_word(const unsigned char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t three_streams(uint32_t state, const unsigned char *data)
{
    uint64_t first = state, second = 0, third = 0;
    for (size_t i = 0; i < STREAM_BYTES; i += 8) {
        first = __builtin_ia32_crc32di(first, native_word(data + i));
        second = __builtin_ia32_crc32di(second, native_word(data + STREAM_BYTES + i));
        third = __builtin_ia32_crc32di(third, native_word(data + 2 * STREAM_BYTES + i));
    }
    return shift_register(shift_register((uint32_t)first) ^ (uint32_t)second) ^ (uint32_t)third;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_by_instruction(uint32_t state, const unsigned char *data, size_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_shift_table);
    for (; bytes >= STREAMS * STREAM_BYTES; bytes -= STREAMS * STREAM_BYTES, data += STREAMS * STREAM_BYTES)
        state = three_streams(state, data);
    for (; bytes >= 8; bytes -= 8, data += 8) state = (uint32_t)__builtin_ia32_crc32di(state, native_word(data));
    for (; bytes > 0; bytes--, data++) state = __builtin_ia32_crc32qi(state, *data);
    return state;
}
#else
uint32_t crc32c_by_instruction(uint32_t state, const unsigned char *data, size_t bytes)
{
    return crc32c_by_table(state, data, bytes);
}
#endif

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t bytes)
{
    return ~(cpu_detect()->sse42 ? crc32c_by_instruction : crc32c_by_table)(~crc, data, bytes);
}
