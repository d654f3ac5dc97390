/* Agreement of ranks on failures and on texts. */
#include "comm/comm_impl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/base/hash.h"

/* A status and its message, as ranks send it to each other. */
typedef struct {
    int status;
    char message[VGG_MESSAGE_MAX];
} failure;

/* The lowest rank whose `mine` is true; INT_MAX if there is none. */
static int lowest_rank(comm *c, bool mine)
{
    int lowest = mine ? c->rank : INT_MAX;
    MPI_CALL(MPI_Allreduce, MPI_IN_PLACE, &lowest, 1, MPI_INT, MPI_MIN, c->world);
    return lowest;
}

vgg_status comm_agree(comm *c, vgg_status mine)
{
    int failing = lowest_rank(c, mine != VGG_OK);
    if (failing == INT_MAX) return VGG_OK;
    failure first = {.status = mine};
    snprintf(first.message, sizeof first.message, "%s", vgg_message());
    comm_broadcast(c, &first, sizeof first, failing);
    return vgg_fail((vgg_status)first.status, "%s", first.message);
}

void ranks_list(const bool *listed, int size, char *text, size_t text_bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (int rank = 0; rank < size; rank++) {
        if (!listed[rank]) continue;
        int last = rank;
        while (last + 1 < size && listed[last + 1]) last++;
        char run[32];
        snprintf(run, sizeof run, last > rank ? "%s%d-%d" : "%s%d", used ? "," : "", rank, last);
        if (used + strlen(run) + sizeof ",..." > text_bytes) {
            snprintf(text + used, text_bytes - used, ",...");
            return;
        }
        used += (size_t)snprintf(text + used, text_bytes - used, "%s", run);
        rank = last;
    }
}

/* Bytes of each text that a message shows, with the final zero. */
enum { SHOWN = 160 };

static vgg_status say_who_differs(comm *c, const char *what, const char *text, bool differs, int first)
{
    char mine[SHOWN], theirs[SHOWN], ranks[128];
    snprintf(mine, sizeof mine, "%.*s", SHOWN - 1, text);
    memcpy(theirs, mine, sizeof theirs);
    comm_broadcast(c, mine, sizeof mine, 0);
    comm_broadcast(c, theirs, sizeof theirs, first);

    bool *all = malloc((size_t)c->size * sizeof *all);
    vgg_status status = VGG_OK;
    if (!all) status = vgg_fail(VGG_UNAVAILABLE, "no memory for a list of %d ranks", c->size);
    status = comm_agree(c, status);
    if (status == VGG_OK) {
        comm_gather_all(c, &differs, sizeof differs, all);
        ranks_list(all, c->size, ranks, sizeof ranks);
        status = vgg_fail(VGG_DISAGREE,
                          "%s differs between ranks: \"%s\" on rank 0, but \"%s\" on rank %d (differing: %s): "
                          "start all ranks alike",
                          what, mine, theirs, first, ranks);
    }
    free(all);
    return status;
}

vgg_status comm_agree_text(comm *c, const char *what, const char *text)
{
    uint64_t bytes = strlen(text) + 1, expected = bytes;
    comm_broadcast(c, &expected, sizeof expected, 0);
    char *first = malloc(expected);
    vgg_status status = VGG_OK;
    if (!first) status = vgg_fail(VGG_UNAVAILABLE, "no memory to compare %s", what);
    status = comm_agree(c, status);
    if (status == VGG_OK) {
        if (c->rank == 0) memcpy(first, text, expected);
        comm_broadcast(c, first, expected, 0);
        bool differs = bytes != expected || memcmp(first, text, expected) != 0;
        int differing = lowest_rank(c, differs);
        if (differing != INT_MAX) status = say_who_differs(c, what, text, differs, differing);
    }
    free(first);
    return status;
}

enum { JOINED = 64 };

/* Writes "a@0-1,b@2"; false if it does not fit. */
static bool list_runs(char (*all)[JOINED], int size, char *text, size_t text_bytes)
{
    size_t used = 0;
    for (int first = 0, end; first < size; first = end) {
        for (end = first + 1; end < size && strcmp(all[end], all[first]) == 0;) end++;
        char last[16] = "";
        if (end > first + 1) snprintf(last, sizeof last, "-%d", end - 1);
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s@%d%s", first > 0 ? "," : "", all[first], first, last);
        if (used >= text_bytes) return false;
    }
    return true;
}

static void join(char (*all)[JOINED], int size, char *text, size_t text_bytes)
{
    bool alike = true;
    for (int rank = 1; rank < size; rank++) alike &= strcmp(all[rank], all[0]) == 0;
    if (alike)
        snprintf(text, text_bytes, "%s", all[0]);
    else if (!list_runs(all, size, text, text_bytes))
        snprintf(text, text_bytes, "unlike:%08x", (unsigned)hash_crc32c(0, all, (size_t)size * sizeof *all));
}

vgg_status comm_join_texts(comm *c, const char *mine, char *text, size_t text_bytes)
{
    char own[JOINED] = "";
    snprintf(own, sizeof own, "%s", mine);
    char(*all)[JOINED] = malloc((size_t)c->size * sizeof *all);
    vgg_status status = comm_agree(c, all ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "no memory for the texts of %d ranks", c->size));
    if (status == VGG_OK) {
        comm_gather_all(c, own, sizeof own, all);
        join(all, c->size, text, text_bytes);
    }
    free(all);
    return status;
}
