/* bench: from options to a benchmark. */
#include <stdlib.h>

#include "app/commands.h"
#include "app/provenance.h"
#include "app/command.h"
#include "app/step_config.h"
#include "app/threads.h"
#include "vgg11/bench/bench.h"

vgg_status cmd_bench(comm *c, const options *o)
{
    thread_plan plan;
    VGG_TRY(threads_plan(c, o->threads, &plan));
    bench_config config = {
        .part = bench_part_find(o->part),
        .step = step_config_of(o, plan.threads, o->plan_cache), /* a benchmark times for itself, unless a file is named */
        .repeats = (uint32_t)o->repeats,
        .seed = o->seed,
        .json = o->json,
        .plot = o->plot,
    };
    char *provenance;
    VGG_TRY(provenance_gather(c, &provenance));
    config.provenance = provenance;
    vgg_status status = bench_run(c, &config);
    free(provenance);
    return status;
}
