#include "app/threads.h"

#include <limits.h>
#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgg11/base/cpu.h"
#include "vgg11/base/log.h"

enum { PATH_BYTES = 4300, LINE_BYTES = 4096 };

static bool has(const processor_mask *mask, int processor) { return mask->bits[processor / 64] >> (processor % 64) & 1; }

static void add(processor_mask *mask, int processor) { mask->bits[processor / 64] |= UINT64_C(1) << (processor % 64); }

/* With OMP_PROC_BIND or OMP_PLACES, OpenMP has bound this thread to its place before main() and binds the others to theirs. */
static void add_places(processor_mask *mask)
{
    for (int place = 0; place < omp_get_num_places(); place++) {
        int count = omp_get_place_num_procs(place), *processors = calloc((size_t)count + 1, sizeof *processors);
        if (!processors) return;
        omp_get_place_proc_ids(place, processors);
        for (int i = 0; i < count; i++)
            if (processors[i] >= 0 && processors[i] < THREADS_MASK_BITS) add(mask, processors[i]);
        free(processors);
    }
}

/* The kernel's cpu_set_t has the same layout on little-endian machines, which these are. */
static processor_mask allowed_processors(void)
{
    processor_mask mask = {0};
    if (sched_getaffinity(0, sizeof mask, (cpu_set_t *)&mask) != 0) mask.bits[0] = 1;
    add_places(&mask);
    return mask;
}

/* Whether an allowed processor before this one is a hardware thread of the same core ("0,64" or "0-1"). */
static bool core_is_counted(const processor_mask *allowed, int processor)
{
    char path[PATH_BYTES], list[LINE_BYTES] = "";
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", processor);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    bool counted = false;
    for (char *at = fgets(list, sizeof list, file); at && *at;) {
        int first = (int)strtol(at, &at, 10), last = first;
        if (*at == '-') last = (int)strtol(at + 1, &at, 10);
        for (int i = first; i <= last && i < processor; i++) counted |= has(allowed, i);
        at = *at == ',' ? at + 1 : NULL;
    }
    fclose(file);
    return counted;
}

static processor_mask cores_of(const processor_mask *processors)
{
    processor_mask cores = {0};
    for (int i = 0; i < THREADS_MASK_BITS; i++) {
        if (has(processors, i) && !core_is_counted(processors, i)) add(&cores, i);
    }
    return cores;
}

processor_mask threads_allowed_cores(void)
{
    processor_mask allowed = allowed_processors();
    return cores_of(&allowed);
}

/* Cores of the machine, those too that this process may not use. */
static int count_online(void)
{
    processor_mask online = {0};
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 0; i < count && i < THREADS_MASK_BITS; i++) add(&online, i);
    processor_mask cores = cores_of(&online);
    return threads_union(&cores, 1);
}

int threads_quota(void)
{
    double quota = cpu_quota();
    if (quota >= INT_MAX) return INT_MAX;
    return quota < 1 ? 1 : (int)quota;
}

int threads_share(const processor_mask *masks, int count, int index)
{
    double share = 0;
    for (int i = 0; i < THREADS_MASK_BITS; i++) {
        if (!has(&masks[index], i)) continue;
        int users = 0;
        for (int rank = 0; rank < count; rank++) users += has(&masks[rank], i);
        share += 1.0 / users;
    }
    int whole = (int)(share + 1e-6); /* three thirds are one */
    return whole < 1 ? 1 : whole;
}

int threads_union(const processor_mask *masks, int count)
{
    int cores = 0;
    for (int i = 0; i < THREADS_MASK_BITS; i++) {
        bool used = false;
        for (int rank = 0; rank < count && !used; rank++) used = has(&masks[rank], i);
        cores += used;
    }
    return cores;
}

static int share_of_node(comm *c, const processor_mask *masks)
{
    int count = comm_node_size(c), quota = threads_quota();
    int share = threads_share(masks, count, comm_node_rank(c));
    if (quota == INT_MAX) return share;
    int allowed = quota / count < 1 ? 1 : quota / count;
    return share < allowed ? share : allowed;
}

/* Cores to which OpenMP has bound the threads of this rank, or all it may use. Ranks that may use the same cores are bound to the same
 * ones: each begins with the first. */
static processor_mask bound_cores(int threads)
{
    processor_mask bound = {0};
    if (omp_get_proc_bind() == omp_proc_bind_false) return threads_allowed_cores();
#pragma omp parallel num_threads(threads)
    {
        processor_mask mine = {0};
        sched_getaffinity(0, sizeof mine, (cpu_set_t *)&mine);
#pragma omp critical
        for (int i = 0; i < THREADS_MASK_BITS; i++)
            if (has(&mine, i)) add(&bound, i);
    }
    return cores_of(&bound);
}

/* Nodes may differ: the worst is told. `bound`: cores that the node's threads are bound to. */
static void warn_if_crowded(comm *c, const thread_plan *plan, int bound)
{
    double excess = comm_max(c, (double)plan->node_threads / plan->node_cores);
    double excess_bound = comm_max(c, (double)plan->node_threads / bound);
    if (excess > 1)
        vgg_log(VGG_LOG_WARNING, "%.3g threads for each core: ranks will wait for each other; use fewer ranks or --threads",
                excess);
    else if (excess_bound > 1)
        vgg_log(VGG_LOG_WARNING,
                "OpenMP binds %.3g threads to each core it uses, and leaves others idle: ranks will wait for each other; unset "
                "OMP_PROC_BIND and OMP_PLACES, or let mpirun give each rank cores of its own (--map-by slot:PE=N)",
                excess_bound);
}

/* "4", or "4,2", where the rest is of loops within loops; 0 for none, and what OpenMP would not take either. */
static int threads_of_environment(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    char *end;
    long count = text ? strtol(text, &end, 10) : 0;
    bool alone = text && end != text && (end[strspn(end, " \t")] == '\0' || end[strspn(end, " \t")] == ',');
    return alone && count > 0 && count <= THREADS_MASK_BITS ? (int)count : 0;
}

vgg_status threads_plan(comm *c, uint64_t asked, thread_plan *plan)
{
    int count = comm_node_size(c);
    processor_mask mine = threads_allowed_cores();
    processor_mask *masks = malloc((size_t)count * sizeof *masks);
    vgg_status status = comm_agree(c, masks ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory to share out the cores"));
    if (status != VGG_OK) {
        free(masks);
        return status;
    }
    comm_node_gather_all(c, &mine, sizeof mine, masks);
    int wished = threads_of_environment();
    plan->threads = asked ? (int)asked : wished ? wished : share_of_node(c, masks);
    plan->source = asked ? "--threads" : wished ? "OMP_NUM_THREADS" : "its share of the cores";
    plan->node_cores = threads_union(masks, count);
    plan->node_online = count_online();
    omp_set_num_threads(plan->threads);
    mine = bound_cores(plan->threads);
    comm_node_gather_all(c, &mine, sizeof mine, masks);
    int bound = threads_union(masks, count);
    free(masks);
    uint64_t sum = (uint64_t)plan->threads;
    comm_node_sum_u64(c, &sum, 1);
    plan->node_threads = (int)sum;
    warn_if_crowded(c, plan, bound);
    return VGG_OK;
}
