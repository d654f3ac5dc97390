/* The check that all ranks hold the same bits. */
#include "comm/comm_impl.h"
#include "vgg11/comm/replica.h"

#include <stdlib.h>

#include "vgg11/base/hash.h"

enum { HASHED_FLOATS = 1 << 16 };

/* The hash of the hashes of fixed pieces, so that threads can share the work. */
static vgg_status hash_buffer(const float *buffer, size_t count, int threads, uint64_t *hash)
{
    size_t pieces = (count + HASHED_FLOATS - 1) / HASHED_FLOATS;
    uint64_t *hashes = malloc(pieces * sizeof *hashes + 1);
    if (!hashes) return vgg_fail(VGG_UNAVAILABLE, "no memory for %zu hashes", pieces);
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t piece = 0; piece < pieces; piece++) {
        size_t first = piece * HASHED_FLOATS, rest = count - first;
        hashes[piece] = hash_bits(buffer + first, (rest < HASHED_FLOATS ? rest : HASHED_FLOATS) * sizeof *buffer);
    }
    *hash = hash_bits(hashes, pieces * sizeof *hashes);
    free(hashes);
    return VGG_OK;
}

/* The hash that most ranks have; of equally frequent ones that of the lowest rank. */
static uint64_t majority(const uint64_t *hashes, int size)
{
    uint64_t best = hashes[0];
    int best_votes = 0;
    for (int rank = 0; rank < size; rank++) {
        int votes = 0;
        for (int other = 0; other < size; other++) votes += hashes[other] == hashes[rank];
        if (votes > best_votes) {
            best = hashes[rank];
            best_votes = votes;
        }
    }
    return best;
}

static vgg_status compare(const comm *c, const char *what, const uint64_t *hashes, bool *differs)
{
    uint64_t right = majority(hashes, c->size);
    int differing = 0;
    for (int rank = 0; rank < c->size; rank++) {
        differs[rank] = hashes[rank] != right;
        differing += differs[rank];
    }
    if (differing == 0) return VGG_OK;
    char ranks[256];
    ranks_list(differs, c->size, ranks, sizeof ranks);
    return vgg_fail(VGG_DISAGREE, "%s differ between ranks: rank%s %s of %d (counted from 0) hold%s other bits than the rest; suspect "
                    "memory, processor or unequal builds there, and resume from the last checkpoint", what,
                    differing > 1 ? "s" : "", ranks, c->size, differing > 1 ? "" : "s");
}

vgg_status replica_check(comm *c, const char *what, const float *buffer, size_t count, int threads)
{
    uint64_t mine = 0;
    size_t size = (size_t)c->size;
    uint64_t *hashes = malloc(size * sizeof *hashes);
    bool *differs = malloc(size * sizeof *differs);
    vgg_status status = hash_buffer(buffer, count, threads, &mine);
    if (!hashes || !differs) status = vgg_fail(VGG_UNAVAILABLE, "no memory to compare %d ranks", c->size);
    status = comm_agree(c, status);
    if (status == VGG_OK) {
        comm_gather_all(c, &mine, sizeof mine, hashes);
        status = compare(c, what, hashes, differs);
    }
    free(hashes);
    free(differs);
    return status;
}
