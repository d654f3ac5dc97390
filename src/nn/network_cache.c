/* The file of timed choices: one line of tab-separated text per slot, "<key> <layer> <pass> <row> <seconds>". The key says for
 * which processor, build and setting the timing holds, so that machines of several kinds can share a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/network_impl.h"
#include "vgg11/base/build_id.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/log.h"

enum { KEY_MAX = 384, LINE_MAX_BYTES = 512, FILE_MAX_BYTES = 1 << 20 };

/* Rows that were added or renamed since make old choices stale. */
static void write_key(const network *net, char key[KEY_MAX])
{
    const network_config *c = &net->config;
    const cpu_features *cpu = cpu_detect();
    char build[BUILD_ID_MAX];
    build_id(build);
    snprintf(key, KEY_MAX, "%.128s, features %d%d%d%d, build %s, ranks %d, threads %d, batch %d, %s, %s, conv %s", cpu_model_name(),
             cpu->avx2, cpu->avx512, cpu->avx512_bf16, cpu->amx_bf16, build, c->node_ranks, c->threads, c->batch_capacity,
             c->precision == PRECISION_BF16 ? "bf16" : "fp32", c->training ? "training" : "forward", net->conv);
    for (char *at = key; *at; at++) {
        if (*at == '\t' || *at == '\n') *at = ' ';
    }
}

static bool has_key(const char *line, const char *key)
{
    size_t length = strlen(key);
    return strncmp(line, key, length) == 0 && line[length] == '\t';
}

static int find_layer(const char *name)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        if (strcmp(model_layers[i].name, name) == 0) return i;
    }
    return -1;
}

/* Takes "<layer> <pass> <row> <seconds>"; anything else is passed over. */
static void read_choice(const char *text, network_choices *choices)
{
    char layer_name[16], row_name[64];
    int pass;
    double seconds;
    if (sscanf(text, "%15[^\t]\t%d\t%63[^\t]\t%lf", layer_name, &pass, row_name, &seconds) != 4) return;
    int layer = find_layer(layer_name);
    if (layer < 0 || pass < 0 || pass >= CONV_PASSES) return;
    choices->algorithm[layer][pass] = conv_algorithm_find(row_name);
    choices->seconds[layer][pass] = seconds;
}

static bool complete(const network *net, const network_choices *choices)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            if (network_needs(net, i, pass) && !choices->algorithm[i][pass]) return false;
        }
    }
    return true;
}

/* The cache file for reading; NULL if there is none of a credible size. */
static FILE *open_cache(const network *net)
{
    struct stat status;
    FILE *file = fopen(net->config.plan_cache, "re");
    if (!file) return NULL;
    if (fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= FILE_MAX_BYTES) return file;
    fclose(file);
    return NULL;
}

bool network_cache_load(const network *net, network_choices *choices)
{
    char key[KEY_MAX], line[LINE_MAX_BYTES];
    FILE *file = open_cache(net);
    if (!file) return false;
    write_key(net, key);
    while (fgets(line, sizeof line, file)) {
        if (has_key(line, key)) read_choice(line + strlen(key) + 1, choices);
    }
    fclose(file);
    return complete(net, choices);
}

static void copy_other_lines(const network *net, const char *key, FILE *to)
{
    char line[LINE_MAX_BYTES];
    FILE *from = open_cache(net);
    if (!from) return;
    while (fgets(line, sizeof line, from)) {
        if (strchr(line, '\n') && !has_key(line, key)) fputs(line, to);
    }
    fclose(from);
}

static void write_choices(const network *net, const char *key, FILE *to)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const conv_plan *plan = &net->layers[i].slots[pass].plan;
            if (!network_needs(net, i, pass)) continue;
            fprintf(to, "%s\t%s\t%d\t%s\t%.9g\n", key, model_layers[i].name, pass, plan->algorithm->name, plan->seconds);
        }
    }
}

static bool write_all(const network *net, int descriptor)
{
    char key[KEY_MAX];
    FILE *file = fdopen(descriptor, "w");
    if (!file) {
        close(descriptor);
        return false;
    }
    write_key(net, key);
    copy_other_lines(net, key, file);
    write_choices(net, key, file);
    bool written = !ferror(file);
    return fclose(file) == 0 && written;
}

void network_cache_store(const network *net)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX", net->config.plan_cache) < 0) return;
    int descriptor = mkostemp(temporary, 0);
    bool stored = descriptor >= 0 && write_all(net, descriptor) && rename(temporary, net->config.plan_cache) == 0;
    if (!stored) {
        if (descriptor >= 0) unlink(temporary);
        vgg_log(VGG_LOG_DEBUG, "%s: the timed choices could not be kept", net->config.plan_cache);
    }
    free(temporary);
}
