#include "dist/wire_bf16.h"

#include <string.h>

#include "dist/bf16_carry.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* The pieces of wire->memory. */
typedef struct {
    float *sent_error; /* [count]: of this rank's own numbers */
    float *sum_error;  /* [count]: of the sums that this rank makes; only its parts are used */
    uint16_t *out;     /* [count]: this rank's rounded numbers, then everybody's rounded sums */
    uint16_t *in;      /* [count + size]: all ranks' numbers of this rank's part */
} wire_memory;

static size_t in_floats(size_t count, int ranks) { return vgg_round_up(count + (size_t)ranks, 32); }

size_t wire_bf16_bytes(size_t count, int ranks)
{
    size_t padded = vgg_round_up(count, 32);
    return padded * (2 * sizeof(float) + sizeof(uint16_t)) + in_floats(count, ranks) * sizeof(uint16_t);
}

static wire_memory cut(const wire_bf16 *wire)
{
    size_t padded = vgg_round_up(wire->count, 32);
    float *floats = wire->memory;
    uint16_t *halves = (uint16_t *)(floats + 2 * padded);
    return (wire_memory){floats, floats + padded, halves, halves + padded};
}

static vgg_range part_of(const wire_bf16 *wire, size_t floats, int rank)
{
    return range_part(floats, (size_t)wire->size, (size_t)rank);
}

/* Every rank gets its part of everybody's numbers. Pairs exchange in turns, so that no list of counts as long as there are
 * ranks is needed. */
static void scatter_parts(const wire_bf16 *wire, const uint16_t *out, uint16_t *in, size_t floats)
{
    vgg_range mine = part_of(wire, floats, wire->rank);
    memcpy(in + (size_t)wire->rank * mine.count, out + mine.first, mine.count * sizeof *in);
    for (int turn = 1; turn < wire->size; turn++) {
        int to = (wire->rank + turn) % wire->size, from = (wire->rank + wire->size - turn) % wire->size;
        vgg_range theirs = part_of(wire, floats, to);
        MPI_CALL(MPI_Sendrecv, out + theirs.first, (int)theirs.count, MPI_UINT16_T, to, 0, in + (size_t)from * mine.count,
                 (int)mine.count, MPI_UINT16_T, from, 0, wire->ranks, MPI_STATUS_IGNORE);
    }
}

/* Every rank gets everybody's part of the sums, passed on around the ring. */
static void gather_parts(const wire_bf16 *wire, uint16_t *sums, size_t floats)
{
    int to = (wire->rank + 1) % wire->size, from = (wire->rank + wire->size - 1) % wire->size;
    for (int turn = 0; turn < wire->size - 1; turn++) {
        vgg_range out = part_of(wire, floats, (wire->rank + wire->size - turn) % wire->size);
        vgg_range in = part_of(wire, floats, (from + wire->size - turn) % wire->size);
        MPI_CALL(MPI_Sendrecv, sums + out.first, (int)out.count, MPI_UINT16_T, to, 0, sums + in.first, (int)in.count,
                 MPI_UINT16_T, from, 0, wire->ranks, MPI_STATUS_IGNORE);
    }
}

void wire_bf16_sum(const wire_bf16 *wire, float *data, size_t at, size_t floats)
{
    wire_memory memory = cut(wire);
    vgg_range mine = part_of(wire, floats, wire->rank);
    round_carrying(data, memory.sent_error + at, memory.out, floats, wire->threads);
    scatter_parts(wire, memory.out, memory.in, floats);
    round_sums_carrying(memory.in, wire->size, memory.sum_error + at + mine.first, memory.out + mine.first, mine.count, wire->threads);
    gather_parts(wire, memory.out, floats);
    widen(memory.out, data, floats, wire->threads);
}
