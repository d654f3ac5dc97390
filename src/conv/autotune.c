/* The choice of an algorithm for each layer and pass. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv/autotune_impl.h"
#include "vgg11/base/bf16.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"

enum { TIMED_TURNS = 2 };

typedef struct {
    void *memory;
    size_t bytes;
} trial_workspace;

/* Made-up operands, each large enough for every layer and pass. */
typedef struct {
    vgg_arena arena;
    size_t map_bytes;
    size_t kernel_bytes;
    size_t bias_bytes;
    float *x, *dy, *result, *w, *dw, *b, *db;
    uint8_t *pool_argmax;
    trial_workspace *workspaces; /* two, for two plans; they grow as needed, so that their pages are touched once for all plans */
} trial_operands;

double conv_agreed(const conv_agreement *agreement, double value)
{
    return agreement->agree ? agreement->agree(agreement->context, value) : value;
}

bool conv_any(const conv_agreement *agreement, bool mine) { return conv_agreed(agreement, mine ? 1 : 0) > 0; }

static double agreed(const autotuner *t, double value) { return conv_agreed(&t->config->agreement, value); }

static bool any(const autotuner *t, bool mine) { return conv_any(&t->config->agreement, mine); }

/* Whether all ranks gave the same value; the same answer on all. */
static bool same_everywhere(const autotuner *t, double value)
{
    double most = agreed(t, value), least = -agreed(t, -value);
    return most <= least;
}

const char *autotune_algorithm(const conv_autotune_config *config) { return config->algorithm ? config->algorithm : "auto"; }

static bool named(const autotuner *t) { return strcmp(autotune_algorithm(t->config), "auto") != 0; }

static void measure_operands(const autotuner *t, trial_operands *s)
{
    for (size_t i = 0; i < t->count; i++) {
        const conv_problem *p = &t->layers[i].problem;
        size_t in = (size_t)p->in, out = (size_t)p->out, area = (size_t)p->side * (size_t)p->side,
               taps = (size_t)(p->kernel * p->kernel);
        s->map_bytes = size_max(s->map_bytes, (size_t)p->batch * area * size_max(in, out) * sizeof(float));
        s->kernel_bytes = size_max(s->kernel_bytes, taps * in * out * sizeof(float));
        s->bias_bytes = size_max(s->bias_bytes, out * sizeof(float));
    }
}

/* Small numbers of both signs that are not denormal, and whose sums are within the range of floats. */
static float made_up(size_t i) { return (float)(i % 61) / 61.0f - 0.5f; }

static void fill(float *values, size_t bytes, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < bytes / sizeof(float); i++) values[i] = made_up(i);
}

static int threads_of(const autotuner *t) { return t->layers[0].problem.threads; }

/* Of a bf16 run the maps are bfloat16, except the first layer's: two such numbers side by side are a usual float, too. */
static void fill_map(const autotuner *t, float *values, size_t bytes)
{
    bf16 *halves = (bf16 *)values;
    fill(values, bytes, threads_of(t));
    if (t->config->precision != PRECISION_BF16) return;
#pragma omp parallel for num_threads(threads_of(t)) schedule(static)
    for (size_t i = 0; i < bytes / sizeof *halves; i++) halves[i] = bf16_round(made_up(i));
}

static vgg_status open_operands(const autotuner *t, trial_operands *s)
{
    measure_operands(t, s);
    for (int i = 0; i < 3; i++) arena_reserve(&s->arena, s->map_bytes);
    for (int i = 0; i < 2; i++) arena_reserve(&s->arena, s->kernel_bytes);
    for (int i = 0; i < 2; i++) arena_reserve(&s->arena, s->bias_bytes);
    arena_reserve(&s->arena, s->map_bytes / sizeof(float));
    VGG_TRY(arena_open(&s->arena));
    s->x = arena_take(&s->arena, s->map_bytes);
    s->dy = arena_take(&s->arena, s->map_bytes);
    s->result = arena_take(&s->arena, s->map_bytes);
    s->w = arena_take(&s->arena, s->kernel_bytes);
    s->dw = arena_take(&s->arena, s->kernel_bytes);
    s->b = arena_take(&s->arena, s->bias_bytes);
    s->db = arena_take(&s->arena, s->bias_bytes);
    s->pool_argmax = arena_take(&s->arena, s->map_bytes / sizeof(float));
    fill_map(t, s->x, s->map_bytes);
    fill_map(t, s->dy, s->map_bytes);
    fill(s->w, s->kernel_bytes, threads_of(t));
    fill(s->b, s->bias_bytes, threads_of(t));
    return VGG_OK;
}

/* Packing the weights counts, too, since each training step does it once. */
static double time_once(conv_plan *plan, const conv_arguments *arguments)
{
    double start = clock_now_s();
    if (plan->prepare) plan->prepare(plan, arguments->w);
    conv_plan_run(plan, arguments);
    return clock_now_s() - start;
}

static conv_arguments trial_arguments(const trial_operands *s, const conv_plan *plan, void *workspace)
{
    return (conv_arguments){.x = s->x,
                            .w = s->w,
                            .b = s->b,
                            .y = s->result,
                            .dy = s->dy,
                            .dx = s->result,
                            .dw = s->dw,
                            .db = s->db,
                            .pool_argmax = s->pool_argmax,
                            .n = plan->problem.batch,
                            .workspace = workspace};
}

static bool make_room(trial_workspace *workspace, size_t bytes)
{
    if (bytes <= workspace->bytes) return true;
    vgg_unmap(workspace->memory, workspace->bytes);
    workspace->bytes = 0;
    bool made = vgg_map(bytes, &workspace->memory) == VGG_OK;
    if (made) workspace->bytes = bytes;
    return made;
}

static double time_once_in(conv_plan *plan, const trial_operands *s, int workspace, timed_runs *runs)
{
    conv_arguments arguments = trial_arguments(s, plan, s->workspaces[workspace].memory);
    double seconds = time_once(plan, &arguments);
    if (runs->count < TIMED_RUNS_MAX) runs->seconds[runs->count++] = seconds;
    return seconds;
}

/* Times the plan chosen so far, plans[0], if there is one, and its challenger, plans[1]: least[] becomes the least seconds of a few
 * runs of each. least[0] must be that of earlier runs. The plans take turns, so that what else the machine does delays both
 * equally. A challenger that is far slower at its first run is not run again, as happens to most. least[1] is INFINITY where memory
 * is short. */
static void time_in_turns(conv_plan *const plans[2], const trial_operands *s, timed_runs runs[2], double least[2])
{
    const double far_behind = 2.5;
    least[1] = INFINITY;
    for (int i = 0; i < 2; i++) {
        if (plans[i] && !make_room(&s->workspaces[i], plans[i]->workspace_bytes)) return;
    }
    least[1] = time_once_in(plans[1], s, 1, &runs[1]);
    for (int turn = 0; turn < TIMED_TURNS && !(plans[0] && least[1] > far_behind * least[0]); turn++) {
        if (plans[0] && turn == 0) least[0] = INFINITY; /* it was timed at another moment: compare with now */
        for (int i = 0; i < 2; i++) {
            if (plans[i]) least[i] = fmin(least[i], time_once_in(plans[i], s, i, &runs[i]));
        }
    }
}

static void note_declined(conv_choice *choice, const conv_algorithm *algorithm, const char *reason)
{
    if (choice->refusal_count == CONV_REFUSALS_MAX) return;
    conv_refusal *refusal = &choice->refusals[choice->refusal_count++];
    refusal->algorithm = algorithm;
    snprintf(refusal->reason, sizeof refusal->reason, "%s", reason);
}

enum { REFUSALS_TEXT_MAX = 512 };

/* "winograd: reason; ..." */
static const char *refusals_text(const conv_choice *choice, char text[REFUSALS_TEXT_MAX])
{
    int used = 0;
    text[0] = '\0';
    for (int i = 0; i < choice->refusal_count && used < REFUSALS_TEXT_MAX; i++)
        used += snprintf(text + used, (size_t)(REFUSALS_TEXT_MAX - used), "%s%s: %s", i ? "; " : "",
                         choice->refusals[i].algorithm->name, choice->refusals[i].reason);
    return text;
}

/* Whether the challenger is clearly faster than the plan chosen so far, by the slowest rank's times; or, where none was chosen,
 * whether every rank could open it. Rows are tried in the order of expectation, so that the earlier one stays where the difference
 * is small. `opened` is false where this rank could not make the challenger's plan. */
static bool is_better(autotuner *t, conv_choice *choice, conv_plan *challenger, bool opened, const trial_operands *s)
{
    const double margin = 0.95;
    conv_plan *holder = choice->plan.algorithm ? &choice->plan : NULL;
    double least[2] = {holder ? choice->plan.seconds : INFINITY, opened ? 0 : INFINITY};
    t->runs[1].count = 0;
    if (s && opened) time_in_turns((conv_plan *const[2]){holder, challenger}, s, t->runs, least);
    for (int i = 0; i < 2 && !t->alone; i++) least[i] = agreed(t, least[i]);
    challenger->seconds = least[1];
    if (holder && isfinite(least[1])) holder->seconds = least[0];
    return holder ? least[1] < margin * least[0] : isfinite(least[1]);
}

/* Opens `algorithm` for a pass; true if all ranks could, and it replaces the plan chosen so far. `s` is NULL where nothing is to be
 * timed. */
static bool consider(autotuner *t, size_t layer, conv_pass pass, const conv_algorithm *algorithm, const trial_operands *s)
{
    conv_choice *choice = &t->choices[layer][pass];
    conv_plan plan;
    bool opened = conv_plan_open(algorithm, &t->layers[layer].problem, pass, &plan) == VGG_OK;
    if (!opened)
        note_declined(choice, algorithm, vgg_message());
    else if (algorithm->precision == t->config->precision)
        t->precision_available = true;
    bool better = is_better(t, choice, &plan, opened, s);
    if (opened && isinf(plan.seconds)) note_declined(choice, algorithm, "not to be had on every rank");
    if (better) {
        conv_plan_close(&choice->plan);
        choice->plan = plan;
        t->runs[0] = t->runs[1];
    } else {
        conv_plan_close(&plan);
    }
    return better;
}

/* The order in which rows are tried: those of the precision asked for that should be the fastest here, then the others of that
 * precision, then those of a higher precision. */
enum { TURN_EXPECTED, TURN_PRECISION, TURN_OTHERS, TURNS };

static int turn_of(const autotuner *t, size_t layer, conv_pass pass, const conv_algorithm *row)
{
    if (row->precision != t->config->precision) return TURN_OTHERS;
    return row->expected && row->expected(&t->layers[layer].problem, pass) ? TURN_EXPECTED : TURN_PRECISION;
}

/* Tries all rows except `but`. The last, the reference, is only tried where no other row accepts, and never timed. */
static void choose_from_table(autotuner *t, size_t layer, conv_pass pass, const trial_operands *s, const conv_algorithm *but)
{
    const conv_choice *choice = &t->choices[layer][pass];
    for (int turn = 0; turn < TURNS; turn++) {
        for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
            bool enough = choice->plan.algorithm && (!s || !row[1]);
            if (*row != but && turn_of(t, layer, pass, *row) == turn && !enough) consider(t, layer, pass, *row, s);
        }
    }
}

static vgg_status choose_pass(autotuner *t, size_t layer, conv_pass pass, const trial_operands *s, bool *name_taken)
{
    const conv_algorithm *favourite = named(t) ? conv_algorithm_find(t->config->algorithm) : NULL;
    const conv_algorithm *taken = t->choices[layer][pass].plan.algorithm; /* from the cache */
    if (taken) {
        *name_taken |= taken == favourite;
        t->precision_available |= taken->precision == t->config->precision;
        return VGG_OK;
    }
    t->runs[0].count = 0;
    if (favourite && consider(t, layer, pass, favourite, NULL)) {
        *name_taken = true;
        return VGG_OK;
    }
    choose_from_table(t, layer, pass, s, favourite);
    conv_plan *plan = &t->choices[layer][pass].plan;
    if (s) plan->spread = agreed(t, timed_runs_spread(&t->runs[0]));
    if (plan->algorithm) return VGG_OK;
    char refusals[REFUSALS_TEXT_MAX];
    return vgg_fail(VGG_UNAVAILABLE, "%s %s: no algorithm is available on every rank (%s)", t->layers[layer].name,
                    conv_pass_names[pass], refusals_text(&t->choices[layer][pass], refusals));
}

enum { LIST_MAX = 256 };

/* Adds the names of all rows, or of those that compute in bf16, to what `list` has. */
static void list_rows(bool bf16_only, char list[LIST_MAX])
{
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
        size_t used = strlen(list);
        if (bf16_only && (*row)->precision != PRECISION_BF16) continue;
        snprintf(list + used, LIST_MAX - used, "%s%s", used ? ", " : "", (*row)->name);
    }
}

static vgg_status refuse_precision(const autotuner *t)
{
    char known[LIST_MAX] = "";
    if (!named(t))
        return vgg_fail(VGG_UNAVAILABLE, "--precision bf16: no algorithm of this build computes in bf16 on this processor");
    list_rows(true, known);
    return vgg_fail(
        VGG_UNAVAILABLE,
        "--conv %s: computes in fp32, and --precision bf16 is asked for; name an algorithm of bf16 (%s) or leave out --conv",
        t->config->algorithm, known);
}

static vgg_status choose_all(autotuner *t, const trial_operands *s)
{
    bool name_taken = false;
    char refusals[REFUSALS_TEXT_MAX];
    for (size_t layer = 0; layer < t->count; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            if (t->layers[layer].needed[pass]) VGG_TRY(choose_pass(t, layer, (conv_pass)pass, s, &name_taken));
        }
    }
    if (named(t) && !name_taken)
        return vgg_fail(VGG_UNAVAILABLE, "--conv %s: accepts no layer here (%s)", t->config->algorithm,
                        refusals_text(&t->choices[t->count - 1][CONV_FORWARD], refusals));
    return t->precision_available ? VGG_OK : refuse_precision(t);
}

static vgg_status choose_by_timing(autotuner *t)
{
    trial_workspace workspaces[2] = {{NULL, 0}, {NULL, 0}};
    trial_operands s = {.workspaces = workspaces};
    vgg_status status = open_operands(t, &s);
    if (any(t, status != VGG_OK)) {
        if (status == VGG_OK) status = vgg_fail(VGG_UNAVAILABLE, "another rank has no memory to time the algorithms");
    } else {
        status = choose_all(t, &s);
    }
    for (int i = 0; i < 2; i++) vgg_unmap(workspaces[i].memory, workspaces[i].bytes);
    arena_close(&s.arena);
    return status;
}

static vgg_status open_recorded(autotuner *t, recorded_choice recorded[][CONV_PASSES])
{
    for (size_t i = 0; i < t->count; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            conv_plan *plan = &t->choices[i][pass].plan;
            if (!t->layers[i].needed[pass] || !recorded[i][pass].algorithm) continue;
            VGG_TRY(conv_plan_open(recorded[i][pass].algorithm, &t->layers[i].problem, (conv_pass)pass, plan));
            plan->seconds = recorded[i][pass].seconds;
            plan->spread = recorded[i][pass].spread;
        }
    }
    return VGG_OK;
}

void conv_choices_close(conv_choice choices[][CONV_PASSES], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            conv_plan_close(&choices[i][pass].plan);
            choices[i][pass].refusal_count = 0;
        }
    }
}

static double digest(const autotuner *t, recorded_choice recorded[][CONV_PASSES])
{
    uint32_t crc = 0;
    for (size_t i = 0; i < t->count; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const conv_algorithm *algorithm = recorded[i][pass].algorithm;
            const char *name = algorithm ? algorithm->name : "";
            crc = hash_crc32c(crc, name, strlen(name) + 1);
        }
    }
    return crc;
}

/* Takes the recorded choices if every rank has the same ones and can open them. */
static bool take_recorded(autotuner *t, bool have, recorded_choice recorded[][CONV_PASSES])
{
    bool usable = !any(t, !have);
    usable = same_everywhere(t, have ? digest(t, recorded) : 0) && usable;
    if (!usable) return false;
    usable = !any(t, open_recorded(t, recorded) != VGG_OK);
    if (!usable) conv_choices_close(t->choices, t->count);
    return usable;
}

static double digest_of_choices(const autotuner *t)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < t->count; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const conv_algorithm *algorithm = t->choices[i][pass].plan.algorithm;
            if (algorithm) crc = hash_crc32c(crc, algorithm->name, strlen(algorithm->name) + 1);
        }
    }
    return crc;
}

/* Ranks with the same processor choose the same rows by themselves. Only where the choices differ do ranks ask each other about
 * each row. */
static vgg_status choose_untimed(autotuner *t)
{
    t->alone = true;
    vgg_status status = choose_all(t, NULL);
    t->alone = false;
    if (same_everywhere(t, status == VGG_OK ? digest_of_choices(t) : -1)) return status;
    conv_choices_close(t->choices, t->count);
    return choose_all(t, NULL);
}

static bool complete(const autotuner *t)
{
    for (size_t i = 0; i < t->count; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            if (t->layers[i].needed[pass] && !t->choices[i][pass].plan.algorithm) return false;
        }
    }
    return true;
}

/* Takes what all ranks have kept, be it nothing or a part; true if nothing is left to be timed. */
static bool choose_from_cache(autotuner *t)
{
    if (t->known && t->config->cache && !t->config->retune) autotune_cache_load(t, t->known);
    bool taken = take_recorded(t, t->known != NULL, t->known);
    if (taken) return complete(t);
    free(t->known);
    t->known = NULL;
    return false;
}

static bool choose_from_text(autotuner *t)
{
    recorded_choice(*recorded)[CONV_PASSES] = calloc(t->count, sizeof *recorded);
    bool have = recorded && t->config->recorded && choices_text_read(t, t->config->recorded, recorded);
    bool taken = take_recorded(t, have, recorded);
    free(recorded);
    return taken;
}

static vgg_status check_name(const autotuner *t)
{
    char known[LIST_MAX] = "auto";
    if (!named(t) || conv_algorithm_find(t->config->algorithm)) return VGG_OK;
    list_rows(false, known);
    return vgg_fail(VGG_UNAVAILABLE, "--conv %s: no such algorithm in this build; there are %s", t->config->algorithm, known);
}

static uint32_t table_digest(void)
{
    uint32_t crc = 0;
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++)
        crc = hash_crc32c(crc, (*row)->name, strlen((*row)->name) + 1);
    return crc;
}

/* Ranks ask each other about rows in the table's order, so that all must have the same table. */
static vgg_status check_builds(const autotuner *t)
{
    if (same_everywhere(t, table_digest())) return VGG_OK;
    return vgg_fail(VGG_DISAGREE, "the ranks' builds have unlike algorithms: start the same build everywhere");
}

static vgg_status choose_and_keep(autotuner *t)
{
    if (choose_from_cache(t)) return VGG_OK;
    VGG_TRY(choose_by_timing(t));
    if (t->config->cache) autotune_cache_store(t);
    return VGG_OK;
}

/* Where ranks were told different things, all do what one of them was told, so that they make the same collective calls. */
vgg_status conv_autotune(const conv_autotune_config *config, const conv_layer *layers, size_t count,
                         conv_choice choices[][CONV_PASSES])
{
    timed_runs runs[2] = {{.count = 0}, {.count = 0}};
    autotuner t = {.config = config, .layers = layers, .count = count, .choices = choices, .runs = runs};
    VGG_TRY(check_builds(&t));
    VGG_TRY(check_name(&t));
    if (any(&t, config->recorded != NULL) && choose_from_text(&t)) return VGG_OK;
    if (!any(&t, config->tune)) return choose_untimed(&t);
    t.node_ranks = (int)agreed(&t, config->node_ranks); /* all wait for the ranks of the fullest node */
    t.known = calloc(count, sizeof *t.known);
    vgg_status status = choose_and_keep(&t);
    free(t.known);
    return status;
}
