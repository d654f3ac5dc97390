#include "dist/rank_tree.h"

#include "dist/sum.h"

size_t rank_tree_scratch(size_t count) { return count / 2 + 1; }

static vgg_range half(vgg_range whole, bool upper)
{
    size_t lower = whole.count / 2;
    return upper ? (vgg_range){whole.first + lower, whole.count - lower} : (vgg_range){whole.first, lower};
}

static void swap_halves(rank_tree *tree, float *into)
{
    int partner = tree->rank ^ tree->distance;
    vgg_range out = tree->gathering ? tree->held : tree->other, in = tree->gathering ? tree->other : tree->held;
    MPI_CALL(MPI_Irecv, into, (int)in.count, MPI_FLOAT, partner, tree->tag, tree->ranks, &tree->requests[0]);
    MPI_CALL(MPI_Isend, tree->data + out.first, (int)out.count, MPI_FLOAT, partner, tree->tag, tree->ranks, &tree->requests[1]);
}

/* Keeps one half of what is held, and sends the other to the partner, who keeps that one. */
static void start_halving(rank_tree *tree)
{
    bool upper = (tree->rank & tree->distance) != 0;
    vgg_range whole = tree->held;
    tree->held = half(whole, upper);
    tree->other = half(whole, !upper);
    swap_halves(tree, tree->scratch);
}

/* What this rank held before the halving at tree->distance: the whole, halved as often as there are shorter distances. */
static vgg_range held_before(const rank_tree *tree)
{
    vgg_range held = tree->whole;
    for (int distance = 1; distance < tree->distance; distance *= 2) held = half(held, (tree->rank & distance) != 0);
    return held;
}

static void start_gathering(rank_tree *tree)
{
    vgg_range whole = held_before(tree);
    bool upper = (tree->rank & tree->distance) != 0;
    tree->other = half(whole, !upper);
    swap_halves(tree, tree->data + tree->other.first);
}

static void start_step(rank_tree *tree)
{
    if (tree->gathering)
        start_gathering(tree);
    else
        start_halving(tree);
}

void rank_tree_start(rank_tree *tree, MPI_Comm ranks, float *data, size_t count, float *scratch, int tag)
{
    *tree = (rank_tree){.ranks = ranks, .tag = tag, .data = data, .scratch = scratch, .distance = 1};
    tree->whole = tree->held = (vgg_range){0, count};
    MPI_CALL(MPI_Comm_rank, ranks, &tree->rank);
    MPI_CALL(MPI_Comm_size, ranks, &tree->size);
    tree->done = tree->size == 1;
    if (!tree->done) start_step(tree);
}

static void end_halving(rank_tree *tree)
{
    float *mine = tree->data + tree->held.first;
    bool upper = (tree->rank & tree->distance) != 0;
    sum_pair(mine, upper ? tree->scratch : mine, upper ? mine : tree->scratch, tree->held.count);
    if (tree->distance * 2 < tree->size)
        tree->distance *= 2;
    else
        tree->gathering = true;
}

static void end_gathering(rank_tree *tree)
{
    tree->held = held_before(tree);
    tree->done = tree->distance == 1;
    tree->distance /= 2;
}

static void end_step(rank_tree *tree)
{
    if (tree->gathering)
        end_gathering(tree);
    else
        end_halving(tree);
    if (!tree->done) start_step(tree);
}

bool rank_tree_test(rank_tree *tree)
{
    int arrived = 1;
    while (!tree->done && arrived) {
        MPI_CALL(MPI_Testall, 2, tree->requests, &arrived, MPI_STATUSES_IGNORE);
        if (arrived) end_step(tree);
    }
    return tree->done;
}

void rank_tree_wait(rank_tree *tree)
{
    while (!tree->done) {
        MPI_CALL(MPI_Waitall, 2, tree->requests, MPI_STATUSES_IGNORE);
        end_step(tree);
    }
}
