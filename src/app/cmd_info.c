/* info: what this build is, and what the job it runs in looks like. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/build_info.h"
#include "app/commands.h"
#include "app/json_output.h"
#include "app/plan_cache.h"
#include "app/provenance.h"
#include "app/threads.h"
#include "app/command.h"
#include "base/json.h"
#include "vgg11/base/cpu.h"

enum { HOST_BYTES = 64, MODEL_BYTES = 96, LIST_BYTES = 128, SOURCE_BYTES = 32 };

typedef struct {
    char host[HOST_BYTES];
    char model[MODEL_BYTES];
    char processors[LIST_BYTES];
    int node;
    int threads;
    char threads_from[SOURCE_BYTES];
    int cores;
    cpu_features features;
    uint64_t memory_bytes;
} rank_info;

static rank_info describe_rank(comm *c, const thread_plan *plan)
{
    rank_info mine = {.node = comm_node_index(c),
                      .threads = plan->threads,
                      .features = *cpu_detect(),
                      .memory_bytes = cpu_memory_available_bytes()};
    snprintf(mine.threads_from, sizeof mine.threads_from, "%s", plan->source);
    processor_mask cores = threads_allowed_cores();
    mine.cores = threads_union(&cores, 1);
    snprintf(mine.host, sizeof mine.host, "%s", comm_host(c));
    snprintf(mine.model, sizeof mine.model, "%s", cpu_model_name());
    cpu_allowed_list(mine.processors, sizeof mine.processors);
    return mine;
}

static json_t *features_json(const cpu_features *features)
{
    return json_pack("{s:b, s:b, s:b, s:b}", "avx2", features->avx2, "avx512", features->avx512, "avx512_bf16",
                     features->avx512_bf16, "amx_bf16", features->amx_bf16);
}

/* NULL without memory, as is the one below. */
static json_t *ranks_json(const rank_info *ranks, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        const rank_info *r = &ranks[i];
        json_t *one = json_pack("{s:i, s:s, s:i, s:i, s:s, s:i, s:s, s:s, s:o, s:I}", "rank", i, "host", r->host, "node", r->node,
                                "threads", r->threads, "threads_from", r->threads_from, "cores", r->cores, "processors",
                                r->processors, "model", r->model, "features", features_json(&r->features), "memory_available_bytes",
                                (json_int_t)r->memory_bytes);
        json_list_add(&list, one);
    }
    return list;
}

static json_t *info_json(const options *o, const char *mpi, const rank_info *ranks, int count, int nodes)
{
    return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:o, s:o, s:i, s:i, s:o}", "version", VGG11_VERSION, "commit", provenance_commit(),
                     "build_type", VGG11_BUILD_TYPE, "compiler", VGG11_COMPILER, "mpi", mpi, "libraries", provenance_libraries(),
                     "plan_cache", plan_cache_json(o), "rank_count", count, "node_count", nodes, "ranks", ranks_json(ranks, count));
}

static void print_features(const cpu_features *features)
{
    printf("processor features: avx2 %s, avx512 %s, avx512_bf16 %s, amx_bf16 %s\n", features->avx2 ? "yes" : "no",
           features->avx512 ? "yes" : "no", features->avx512_bf16 ? "yes" : "no", features->amx_bf16 ? "yes" : "no");
}

static void print_info(const options *o, const char *mpi, const rank_info *ranks, int count, int nodes)
{
    const char *commit = provenance_commit(), *name, *version;
    printf("vgg11_dist %s (%s build, %s, commit %s)\nMPI: %s\nlibraries:", VGG11_VERSION, VGG11_BUILD_TYPE, VGG11_COMPILER,
           commit ? commit : "unknown", mpi);
    for (int i = 0; provenance_library(i, &name, &version); i++)
        printf("%s %s %s", i == 0 ? "" : ",", name, *version ? version : "no");
    printf("\nprocessor of rank 0: %s\n", ranks[0].model);
    print_features(&ranks[0].features);
    printf("threads of rank 0: %d, by %s\n", ranks[0].threads, ranks[0].threads_from);
    printf("memory available on %s: %.1f GB\n", ranks[0].host, (double)ranks[0].memory_bytes / 1e9);
    plan_cache_print(o);
    printf("%d %s on %d %s\n\n%6s %6s %-24s %8s %6s  %s\n", count, count == 1 ? "rank" : "ranks", nodes,
           nodes == 1 ? "node" : "nodes", "rank", "node", "host", "threads", "cores", "may use processors");
    for (int i = 0; i < count; i++) {
        const rank_info *r = &ranks[i];
        printf("%6d %6d %-24s %8d %6d  %s\n", i, r->node, r->host, r->threads, r->cores, r->processors);
    }
}

static vgg_status print(const options *o, const char *mpi, const rank_info *ranks, int count, int nodes)
{
    if (!o->json) {
        print_info(o, mpi, ranks, count, nodes);
        return VGG_OK;
    }
    json_t *object = info_json(o, mpi, ranks, count, nodes);
    if (!object) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to describe the ranks");
    return json_output(object, "");
}

vgg_status cmd_info(comm *c, const options *o)
{
    thread_plan plan;
    VGG_TRY(threads_plan(c, o->threads, &plan));
    rank_info mine = describe_rank(c, &plan);
    int count = comm_size(c);
    rank_info *ranks = malloc((size_t)count * sizeof *ranks);
    vgg_status status = comm_agree(c, ranks ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory to describe the ranks"));
    if (status != VGG_OK) {
        free(ranks);
        return status;
    }
    comm_gather_all(c, &mine, sizeof mine, ranks);
    if (comm_rank(c) == 0) status = print(o, comm_library_version(c), ranks, count, comm_node_count(c));
    free(ranks);
    return comm_agree(c, status);
}
