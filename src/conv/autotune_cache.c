/* The file of timed choices: a line of tab-separated text for each layer and pass, "<key> <layer> <pass> <row> <seconds>". The key
 * says for which processor, build and settings the timing holds, so that different machines can share a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conv/autotune_impl.h"
#include "vgg11/base/build_id.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

enum { KEY_MAX = 384, LINE_MAX_BYTES = 512, FILE_MAX_BYTES = 1 << 20 };

/* All layers have the same precision, threads and batch, so that the first one's stand for all. */
static void write_key(const autotuner *t, char key[KEY_MAX])
{
    const conv_problem *p = &t->layers[0].problem;
    const cpu_features *cpu = cpu_detect();
    char build[BUILD_ID_MAX];
    build_id(build);
    snprintf(key, KEY_MAX, "%.128s, features %d%d%d%d, build %s, ranks %d, threads %d, batch %d, %s, %s, conv %s", cpu_model_name(),
             cpu->avx2, cpu->avx512, cpu->avx512_bf16, cpu->amx_bf16, build, t->node_ranks, p->threads, p->batch,
             t->config->precision == PRECISION_BF16 ? "bf16" : "fp32",
             t->layers[0].needed[CONV_WEIGHT_GRAD] ? "training" : "forward", autotune_algorithm(t->config));
    for (char *at = key; *at; at++) {
        if (*at == '\t' || *at == '\n') *at = ' ';
    }
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

/* Takes the choice of a line "<layer> <pass> <row> <seconds>"; lines of another form are ignored. */
static void read_choice(const autotuner *t, const char *text, recorded_choice recorded[][CONV_PASSES])
{
    char layer_name[16], row_name[64];
    int pass;
    double seconds;
    if (sscanf(text, "%15[^\t]\t%d\t%63[^\t]\t%lf", layer_name, &pass, row_name, &seconds) != 4) return;
    size_t layer = find_layer(t, layer_name);
    if (layer == t->count || pass < 0 || pass >= CONV_PASSES) return;
    recorded[layer][pass] = (recorded_choice){conv_algorithm_find(row_name), seconds};
}

static bool complete(const autotuner *t, recorded_choice recorded[][CONV_PASSES])
{
    for (size_t i = 0; i < t->count; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            if (t->layers[i].needed[pass] && !recorded[i][pass].algorithm) return false;
        }
    }
    return true;
}

/* Opens the cache file for reading; NULL if there is none, or if it is larger than a cache can be. */
static FILE *open_cache(const autotuner *t)
{
    struct stat status;
    int descriptor;
    if (file_open_to_read(t->config->cache, &descriptor) != VGG_OK) return NULL;
    bool credible = fstat(descriptor, &status) == 0 && status.st_size <= FILE_MAX_BYTES;
    FILE *file = credible ? fdopen(descriptor, "r") : NULL;
    if (!file) close(descriptor);
    return file;
}

bool autotune_cache_load(const autotuner *t, recorded_choice recorded[][CONV_PASSES])
{
    char key[KEY_MAX], line[LINE_MAX_BYTES];
    FILE *file = open_cache(t);
    if (!file) return false;
    write_key(t, key);
    while (fgets(line, sizeof line, file)) {
        if (has_key(line, key)) read_choice(t, line + strlen(key) + 1, recorded);
    }
    fclose(file);
    return complete(t, recorded);
}

static void copy_other_lines(const autotuner *t, const char *key, FILE *to)
{
    char line[LINE_MAX_BYTES];
    FILE *from = open_cache(t);
    if (!from) return;
    while (fgets(line, sizeof line, from)) {
        if (strchr(line, '\n') && !has_key(line, key)) fputs(line, to);
    }
    fclose(from);
}

static void write_choices(const autotuner *t, const char *key, FILE *to)
{
    for (size_t i = 0; i < t->count; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const conv_plan *plan = &t->choices[i][pass].plan;
            if (!t->layers[i].needed[pass]) continue;
            fprintf(to, "%s\t%s\t%d\t%s\t%.9g\n", key, t->layers[i].name, pass, plan->algorithm->name, plan->seconds);
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
