/* The check that all ranks hold the same bits. */
#include "vgg11/comm/replica.h"

#include <stdlib.h>

#include "comm/comm_impl.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/integers.h"

enum { HASHED_FLOATS = 1 << 16 };

size_t replica_blocks(size_t count) { return size_divide_up(count, HASHED_FLOATS); }

uint64_t replica_hash(const float *buffer, size_t count, vgg_range blocks, int threads)
{
    uint64_t sum = 0;
#pragma omp parallel for schedule(static) num_threads(threads) reduction(+ : sum)
    for (size_t block = blocks.first; block < blocks.first + blocks.count; block++) {
        size_t first = block * HASHED_FLOATS;
        uint64_t placed[2] = {block, hash_bits(buffer + first, size_min(count - first, HASHED_FLOATS) * sizeof *buffer)};
        sum += hash_bits(placed, sizeof placed);
    }
    return sum;
}

/* The findings of all copies. */
typedef struct {
    const comm *c;
    const char *what;
    bool node_copies;
    const replica_finding *found; /* [size]: by rank */
    uint64_t *hashes;             /* [copies] */
    int copies;
    bool *listed; /* [size]: scratch for lists of ranks */
} comparison;

static int copy_of(const comparison *all, int rank) { return all->node_copies ? all->c->node_of[rank] : rank; }

/* Lists the ranks whose copy's hash is (`equal`) or is not `hash`, and returns how many they are. */
static int list_ranks(const comparison *all, uint64_t hash, bool equal, char *text, size_t text_bytes)
{
    int count = 0;
    for (int rank = 0; rank < all->c->size; rank++) {
        all->listed[rank] = (all->found[rank].hash == hash) == equal;
        count += all->listed[rank];
    }
    ranks_list(all->listed, all->c->size, text, text_bytes);
    return count;
}

static vgg_status check_changed(const comparison *all)
{
    char ranks[256];
    int changed = 0, size = all->c->size;
    for (int rank = 0; rank < size; rank++) {
        all->listed[rank] = all->found[rank].changed != 0;
        changed += all->listed[rank];
    }
    if (changed == 0) return VGG_OK;
    ranks_list(all->listed, size, ranks, sizeof ranks);
    return vgg_fail(VGG_DISAGREE,
                    "%s changed since the last update in memory of rank%s %s of %d (counted from 0); suspect memory there, or "
                    "a program that writes where it should not, and resume from the last checkpoint",
                    all->what, changed > 1 ? "s" : "", ranks, size);
}

/* True, with its hash, if more than half of the copies have the same hash. */
static bool find_majority(const comparison *all, uint64_t *right)
{
    for (int copy = 0; copy < all->copies; copy++) {
        int votes = 0;
        for (int other = 0; other < all->copies; other++) votes += all->hashes[other] == all->hashes[copy];
        *right = all->hashes[copy];
        if (2 * votes > all->copies) return true;
    }
    return false;
}

static vgg_status check_equal(const comparison *all)
{
    char ranks[256], others[256];
    uint64_t right = 0;
    int size = all->c->size;
    if (!find_majority(all, &right)) {
        list_ranks(all, all->found[0].hash, true, ranks, sizeof ranks);
        list_ranks(all, all->found[0].hash, false, others, sizeof others);
        return vgg_fail(VGG_DISAGREE,
                        "%s differ between ranks: ranks %s and %s differ, and no majority of %d copies says which are wrong; "
                        "suspect memory, processors or unequal builds, and resume from the last checkpoint",
                        all->what, ranks, others, all->copies);
    }
    int differing = list_ranks(all, right, false, ranks, sizeof ranks);
    if (differing == 0) return VGG_OK;
    return vgg_fail(VGG_DISAGREE,
                    "%s differ between ranks: rank%s %s of %d (counted from 0) hold%s other bits than the rest; suspect "
                    "memory, processor or unequal builds there, and resume from the last checkpoint",
                    all->what, differing > 1 ? "s" : "", ranks, size, differing > 1 ? "" : "s");
}

static vgg_status compare(const comparison *all)
{
    for (int rank = 0; rank < all->c->size; rank++) all->hashes[copy_of(all, rank)] = all->found[rank].hash;
    VGG_TRY(check_changed(all));
    return check_equal(all);
}

vgg_status replica_compare(comm *c, const char *what, replica_finding mine, bool node_copies)
{
    size_t size = (size_t)c->size;
    replica_finding *found = malloc(size * sizeof *found);
    uint64_t *hashes = malloc(size * sizeof *hashes);
    bool *listed = malloc(size * sizeof *listed);
    vgg_status status = VGG_OK;
    if (!found || !hashes || !listed) status = vgg_fail(VGG_UNAVAILABLE, "no memory to compare %d ranks", c->size);
    status = comm_agree(c, status);
    if (status == VGG_OK) {
        comm_gather_all(c, &mine, sizeof mine, found);
        comparison all = {c, what, node_copies, found, hashes, node_copies ? c->node_count : c->size, listed};
        status = compare(&all);
    }
    free(found);
    free(hashes);
    free(listed);
    return status;
}

vgg_status replica_check(comm *c, const char *what, const float *buffer, size_t count, int threads)
{
    vgg_range all = {0, replica_blocks(count)};
    replica_finding mine = {replica_hash(buffer, count, all, threads), 0};
    return replica_compare(c, what, mine, false);
}
