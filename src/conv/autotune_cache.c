/* The file of timed choices: a line of tab-separated text for each layer and pass, "<key> <layer> <pass> <row> <seconds> <spread> <time>".
 * The key says for which processor, build and settings the timing holds, so that different machines can share a file. Spread is that of
 * conv_plan, time the second since 1970; lines of earlier versions, which end with the seconds, are taken as they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conv/autotune_impl.h"
#include "vgg11/base/build_id.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

enum { KEY_MAX = 384, FILE_MAX_BYTES = 1 << 20 };

void autotune_cache_machine(char machine[CACHE_MACHINE_MAX])
{
    const cpu_features *cpu = cpu_detect();
    char build[BUILD_ID_MAX];
    build_id(build);
    snprintf(machine, CACHE_MACHINE_MAX, "%.128s, features %d%d%d%d, build %s, ", cpu_model_name(), cpu->avx2, cpu->avx512,
             cpu->avx512_bf16, cpu->amx_bf16, build);
    for (char *at = machine; *at; at++) {
        if (*at == '\t' || *at == '\n') *at = ' ';
    }
}

/* All layers have the same precision, threads and batch, so that the first one's stand for all. */
static void write_key(const autotuner *t, char key[KEY_MAX])
{
    const conv_problem *p = &t->layers[0].problem;
    char machine[CACHE_MACHINE_MAX];
    autotune_cache_machine(machine);
    snprintf(key, KEY_MAX, "%sranks %d, threads %d, batch %d, %s, %s, conv %s", machine, t->node_ranks, p->threads, p->batch,
             t->config->precision == PRECISION_BF16 ? "bf16" : "fp32",
             t->layers[0].needed[CONV_WEIGHT_GRAD] ? "training" : "forward", autotune_algorithm(t->config));
}

static bool has_key(const char *line, const char *key)
{
    size_t length = strlen(key);
    return strncmp(line, key, length) == 0 && line[length] == '\t';
}

/* The index of the layer of that name; t->count if there is none. */
static size_t find_layer(const autotuner *t, const char *name)
{
    size_t i = 0;
    while (i < t->count && strcmp(t->layers[i].name, name) != 0) i++;
    return i;
}

bool autotune_cache_read(const char *text, char layer[CACHE_LAYER_MAX], int *pass, char row[CACHE_ROW_MAX], recorded_choice *choice)
{
    long long time = 0;
    *choice = (recorded_choice){.spread = -1};
    int fields = sscanf(text, "%15[^\t]\t%d\t%63[^\t]\t%lf\t%lf\t%lld", layer, pass, row, &choice->seconds, &choice->spread, &time);
    choice->time = time;
    return fields == 4 || fields == 6;
}

/* Takes the choice of what follows the key; lines of another form, and those that were cut short, are ignored. */
static void read_choice(const autotuner *t, const char *text, recorded_choice recorded[][CONV_PASSES])
{
    char layer_name[CACHE_LAYER_MAX], row_name[CACHE_ROW_MAX];
    int pass;
    recorded_choice choice;
    if (!strchr(text, '\n') || !autotune_cache_read(text, layer_name, &pass, row_name, &choice)) return;
    size_t layer = find_layer(t, layer_name);
    if (layer == t->count || pass < 0 || pass >= CONV_PASSES) return;
    choice.algorithm = conv_algorithm_find(row_name);
    recorded[layer][pass] = choice;
}

FILE *autotune_cache_open(const char *path)
{
    struct stat status;
    int descriptor;
    if (file_open_to_read(path, &descriptor) != VGG_OK) return NULL;
    bool credible = fstat(descriptor, &status) == 0 && status.st_size <= FILE_MAX_BYTES;
    FILE *file = credible ? fdopen(descriptor, "r") : NULL;
    if (!file) close(descriptor);
    return file;
}

void autotune_cache_load(const autotuner *t, recorded_choice recorded[][CONV_PASSES])
{
    char key[KEY_MAX], line[CACHE_LINE_MAX];
    FILE *file = autotune_cache_open(t->config->cache);
    if (!file) return;
    write_key(t, key);
    while (fgets(line, sizeof line, file)) {
        if (has_key(line, key)) read_choice(t, line + strlen(key) + 1, recorded);
    }
    fclose(file);
}

static void copy_other_lines(const autotuner *t, const char *key, FILE *to)
{
    char line[CACHE_LINE_MAX];
    FILE *from = autotune_cache_open(t->config->cache);
    if (!from) return;
    while (fgets(line, sizeof line, from)) {
        if (strchr(line, '\n') && !has_key(line, key)) fputs(line, to);
    }
    fclose(from);
}

static bool was_busy(const autotuner *t, const char *layer, int pass, const conv_plan *plan)
{
    double limit = t->config->spread_limit;
    if (limit <= 0 || plan->spread <= limit) return false;
    vgg_log(VGG_LOG_DEBUG,
            "%s %s: %s is used in this run but not kept: timed in a busy moment, its median run was %.0f %% above the least "
            "(--plan-spread)",
            layer, conv_pass_names[pass], plan->algorithm->name, 100 * plan->spread);
    return true;
}

static void write_choices(const autotuner *t, const char *key, FILE *to)
{
    for (size_t i = 0; i < t->count; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const conv_plan *plan = &t->choices[i][pass].plan;
            bool known = t->known && t->known[i][pass].algorithm;
            if (!t->layers[i].needed[pass] || (!known && was_busy(t, t->layers[i].name, pass, plan))) continue;
            fprintf(to, "%s\t%s\t%d\t%s\t%.9g\t%.3f\t%lld\n", key, t->layers[i].name, pass, plan->algorithm->name, plan->seconds,
                    plan->spread, known ? (long long)t->known[i][pass].time : (long long)time(NULL));
        }
    }
}

/* The whole file as text, for free(); NULL without memory. */
static char *make_text(const autotuner *t, size_t *bytes)
{
    char key[KEY_MAX], *text = NULL;
    FILE *file = open_memstream(&text, bytes);
    if (!file) return NULL;
    write_key(t, key);
    copy_other_lines(t, key, file);
    write_choices(t, key, file);
    if (fclose(file) == 0) return text;
    free(text);
    return NULL;
}

void autotune_cache_store(const autotuner *t)
{
    size_t bytes = 0;
    char *text = make_text(t, &bytes);
    if (!text || file_replace_text(t->config->cache, text, bytes) != VGG_OK)
        vgg_log(VGG_LOG_WARNING, "the timed choices could not be kept: %s", text ? vgg_message() : "no memory");
    free(text);
}
