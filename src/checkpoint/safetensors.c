#include "checkpoint/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/memory.h"

#define CHECKSUM_KEY "metadata_crc32c"

safetensors_entry safetensors_tensor(int index)
{
    const tensor_view *views = model_tensors();
    size_t weight_bytes = 0, before = 0;
    for (int t = 0; t < MODEL_TENSORS; t++) {
        if (t < index % MODEL_TENSORS) before += views[t].count * sizeof(float);
        weight_bytes += views[t].count * sizeof(float);
    }
    safetensors_entry entry = {.view = &views[index % MODEL_TENSORS]};
    bool velocity = index >= MODEL_TENSORS;
    snprintf(entry.name, sizeof entry.name, "%s%s", velocity ? "velocity." : "", entry.view->name);
    entry.data_offset = before + (velocity ? weight_bytes : 0);
    entry.data_bytes = entry.view->count * sizeof(float);
    return entry;
}

static size_t bytes_up_to(int tensors)
{
    safetensors_entry last = safetensors_tensor(tensors - 1);
    return last.data_offset + last.data_bytes;
}

size_t safetensors_data_bytes(void) { return bytes_up_to(SAFETENSORS_TENSORS); }

int safetensors_tensors_of(const checkpoint_state *state) { return state->weights_only ? MODEL_TENSORS : SAFETENSORS_TENSORS; }

size_t safetensors_bytes_of(const checkpoint_state *state) { return bytes_up_to(safetensors_tensors_of(state)); }

/* How one field of the state is kept: as a string, since safetensors allows nothing else in __metadata__. */
typedef enum { FIELD_U64, FIELD_U32, FIELD_INT, FIELD_DOUBLE, FIELD_TEXT, FIELD_LINE } field_type;

typedef struct {
    const char *name;
    field_type type;
    size_t offset;
    bool later; /* checkpoints made before there was this field are read as well */
} state_field;

#define FIELD(key, type, member, later)                              \
    {                                                                \
        key, FIELD_##type, offsetof(checkpoint_state, member), later \
    }
static const state_field fields[] = {
    FIELD("step", U64, position.step, false),
    FIELD("epoch", U32, position.epoch, false),
    FIELD("position", U32, position.epoch_step, false),
    FIELD("seed", U64, seed, false),
    FIELD("ranks", INT, ranks, false),
    FIELD("threads", INT, threads, false),
    FIELD("slices", INT, micro_batches, false),
    FIELD("best_accuracy", DOUBLE, position.best_accuracy, false),
    FIELD("epoch_loss_sum", DOUBLE, position.epoch_loss_sum, false),
    FIELD("epoch_correct", U64, position.epoch_correct, false),
    FIELD("epoch_samples", U64, position.epoch_samples, false),
    FIELD("evaluated_step", U64, position.evaluated_step, true),
    FIELD("pixel_mean", DOUBLE, pixel_mean, false),
    FIELD("pixel_deviation", DOUBLE, pixel_deviation, false),
    FIELD("recipe", LINE, data_fingerprint, false),
    FIELD("config", TEXT, config_json, false),
    FIELD("data_digest", LINE, data_digest, true),
    FIELD("setting", LINE, tuning_fingerprint, true),
    FIELD("exchange", LINE, exchange, true),
    FIELD("algorithms", LINE, algorithms, true),
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static const void *field_at(const checkpoint_state *state, const state_field *field) { return (const char *)state + field->offset; }

static json_t *write_field(const checkpoint_state *state, const state_field *field)
{
    const void *value = field_at(state, field);
    switch (field->type) {
    case FIELD_U64: return json_sprintf("%" PRIu64, *(const uint64_t *)value);
    case FIELD_U32: return json_sprintf("%" PRIu32, *(const uint32_t *)value);
    case FIELD_INT: return json_sprintf("%d", *(const int *)value);
    case FIELD_DOUBLE: return json_sprintf("%.17g", *(const double *)value);
    case FIELD_LINE:
    case FIELD_TEXT: break;
    }
    const char *text = *(char *const *)value;
    return json_string(text ? text : "");
}

static bool read_number(const char *text, uint64_t most, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value <= most;
}

static bool read_double(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

/* Messages may quote it, so nothing that a terminal would take for a command. */
static bool is_line(const char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~') return false;
    }
    return true;
}

static bool read_field(checkpoint_state *state, const state_field *field, const char *text)
{
    void *value = (char *)state + field->offset;
    uint64_t number = 0;
    switch (field->type) {
    case FIELD_U64: return read_number(text, UINT64_MAX, value);
    case FIELD_U32:
        if (!read_number(text, UINT32_MAX, &number)) return false;
        *(uint32_t *)value = (uint32_t)number;
        return true;
    case FIELD_INT:
        if (!read_number(text, INT32_MAX, &number)) return false;
        *(int *)value = (int)number;
        return true;
    case FIELD_DOUBLE: return read_double(text, value);
    case FIELD_LINE:
        if (!is_line(text)) return false;
        break;
    case FIELD_TEXT: break;
    }
    char *copy = strdup(text);
    *(char **)value = copy;
    return copy != NULL;
}

/* Over all metadata but the checksum itself, in the order of their names, so that it does not depend on who wrote the file. False
 * without memory. */
static bool metadata_checksum(json_t *metadata, uint32_t *crc)
{
    json_t *others = json_copy(metadata);
    bool whole = json_object_size(others) == json_object_size(metadata); /* json_copy() does not tell what it had to leave out */
    json_object_del(others, CHECKSUM_KEY);
    char *text = whole ? json_dumps(others, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    *crc = text ? hash_crc32c(0, text, strlen(text)) : 0;
    bool made = text != NULL;
    free(text);
    json_decref(others);
    return made;
}

/* An attacker computes the right one; what fuzzes the parser behind it need not. */
static bool is_checksum(uint32_t found, uint32_t expected)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)found, (void)expected;
    return true;
#else
    return found == expected;
#endif
}

/* Takes `value` over; false without memory, also to make it. */
static bool put(json_t *object, const char *key, json_t *value) { return json_object_set_new(object, key, value) == 0; }

static bool put_checksum(json_t *object, const char *key, uint32_t crc)
{
    return put(object, key, json_sprintf("%08" PRIx32, crc));
}

bool safetensors_put_checksum(json_t *metadata, const char *name, uint32_t crc)
{
    char key[64];
    snprintf(key, sizeof key, "crc32c.%s", name);
    return put_checksum(metadata, key, crc);
}

static bool put_metadata(json_t *metadata, const checkpoint_state *state, const uint32_t crc[SAFETENSORS_TENSORS])
{
    uint32_t checksum;
    bool whole = put(metadata, "format", json_string("vgg11_dist")) &&
                 put(metadata, "format_version", json_sprintf("%d", CHECKPOINT_FORMAT));
    for (int i = 0; whole && i < FIELD_COUNT; i++) whole = put(metadata, fields[i].name, write_field(state, &fields[i]));
    for (int i = 0; whole && i < safetensors_tensors_of(state); i++)
        whole = safetensors_put_checksum(metadata, safetensors_tensor(i).name, crc[i]);
    return whole && metadata_checksum(metadata, &checksum) && put_checksum(metadata, CHECKSUM_KEY, checksum);
}

json_t *safetensors_describe(int rank, const size_t *shape, size_t offset, size_t bytes)
{
    json_t *sizes = json_array();
    bool whole = sizes != NULL;
    for (int i = 0; whole && i < rank; i++) whole = json_array_append_new(sizes, json_integer((json_int_t)shape[i])) == 0;
    if (!whole) {
        json_decref(sizes);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", "F32", "shape", sizes, "data_offsets", (json_int_t)offset,
                     (json_int_t)(offset + bytes));
}

/* For free(); NULL without memory. */
static char *compose_text(const checkpoint_state *state, const uint32_t crc[SAFETENSORS_TENSORS])
{
    json_t *root = json_object(), *metadata = json_object();
    bool whole = put_metadata(metadata, state, crc);
    whole = put(root, "__metadata__", metadata) && whole;
    for (int i = 0; whole && i < safetensors_tensors_of(state); i++) {
        safetensors_entry entry = safetensors_tensor(i);
        whole = put(root, entry.name,
                    safetensors_describe(entry.view->rank, entry.view->shape, entry.data_offset, entry.data_bytes));
    }
    char *text = whole ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

vgg_status safetensors_pad(char *text, char **header, size_t *header_bytes)
{
    size_t length = text ? strlen(text) : 0, padded = vgg_round_up(length, 8);
    if (padded > SAFETENSORS_HEADER_MAX) {
        free(text);
        return vgg_fail(VGG_ERROR, "checkpoint header of %zu bytes cannot be made; at most %d are allowed", length,
                        SAFETENSORS_HEADER_MAX);
    }
    char *out = text ? malloc(padded + 1) : NULL;
    if (!out) {
        free(text);
        return vgg_fail(VGG_UNAVAILABLE, "not enough memory for the header of a checkpoint");
    }
    memcpy(out, text, length);
    memset(out + length, ' ', padded - length);
    free(text);
    *header = out;
    *header_bytes = padded;
    return VGG_OK;
}

void safetensors_write_length(size_t header_bytes, unsigned char length[SAFETENSORS_LENGTH_BYTES])
{
    for (int i = 0; i < SAFETENSORS_LENGTH_BYTES; i++) length[i] = (unsigned char)((uint64_t)header_bytes >> (8 * i));
}

vgg_status safetensors_compose(const checkpoint_state *state, const uint32_t crc[SAFETENSORS_TENSORS], char **header,
                               size_t *header_bytes)
{
    return safetensors_pad(compose_text(state, crc), header, header_bytes);
}

static vgg_status bad(const char *path, const char *name, const char *what)
{
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: %s: %s", path, name, what);
}

static vgg_status no_memory(const char *path) { return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path); }

static const char *metadata_text(json_t *metadata, const char *key) { return json_string_value(json_object_get(metadata, key)); }

static vgg_status parse_version(const char *path, json_t *metadata)
{
    const char *format = metadata_text(metadata, "format"), *version = metadata_text(metadata, "format_version");
    uint64_t number = 0;
    if (!format || strcmp(format, "vgg11_dist") != 0) return bad(path, "format", "not a checkpoint of vgg11_dist");
    if (!version || !read_number(version, UINT32_MAX, &number)) return bad(path, "format_version", "is missing or no number");
    if (number == CHECKPOINT_FORMAT) return VGG_OK;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: has format version %" PRIu64 "; this program reads version %d", path, number,
                    CHECKPOINT_FORMAT);
}

static bool parse_hex(const char *text, uint32_t *value)
{
    char again[16];
    if (!text || strlen(text) != 8) return false;
    *value = (uint32_t)strtoul(text, NULL, 16);
    snprintf(again, sizeof again, "%08" PRIx32, *value);
    return strcmp(again, text) == 0;
}

bool safetensors_checksum_of(json_t *metadata, const char *name, uint32_t *crc)
{
    char key[64];
    snprintf(key, sizeof key, "crc32c.%s", name);
    return parse_hex(metadata_text(metadata, key), crc);
}

static vgg_status parse_metadata(const char *path, json_t *metadata, checkpoint_state *state, uint32_t crc[SAFETENSORS_TENSORS])
{
    uint32_t expected = 0, found = 0;
    if (!json_is_object(metadata)) return bad(path, "__metadata__", "is missing; not a checkpoint of vgg11_dist");
    VGG_TRY(parse_version(path, metadata));
    if (!metadata_checksum(metadata, &found)) return no_memory(path);
    if (!parse_hex(metadata_text(metadata, CHECKSUM_KEY), &expected) || !is_checksum(found, expected))
        return bad(path, "__metadata__", "does not match its checksum; the file is damaged");
    for (int i = 0; i < FIELD_COUNT; i++) {
        const char *text = metadata_text(metadata, fields[i].name);
        if (fields[i].later && !json_object_get(metadata, fields[i].name)) text = fields[i].type == FIELD_U64 ? "0" : "";
        errno = 0;
        bool good = text && read_field(state, &fields[i], text);
        if (!good && errno == ENOMEM) return no_memory(path);
        if (!good) return bad(path, fields[i].name, "is missing or malformed");
    }
    for (int i = 0; i < safetensors_tensors_of(state); i++) {
        safetensors_entry entry = safetensors_tensor(i);
        if (!safetensors_checksum_of(metadata, entry.name, &crc[i]))
            return bad(path, entry.name, "its checksum is missing or malformed");
    }
    return VGG_OK;
}

static bool integer_is(json_t *value, size_t expected)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 && (size_t)json_integer_value(value) == expected;
}

vgg_status safetensors_check(const char *path, json_t *root, const char *name, int rank, const size_t *shape)
{
    json_t *tensor = json_object_get(root, name);
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    json_t *sizes = json_object_get(tensor, "shape");
    if (!json_is_object(tensor) || json_object_size(tensor) != 3) return bad(path, name, "tensor is missing or malformed");
    if (!dtype || strcmp(dtype, "F32") != 0) return bad(path, name, "dtype is not F32");
    bool same = json_is_array(sizes) && json_array_size(sizes) == (size_t)rank;
    for (int i = 0; same && i < rank; i++) same = integer_is(json_array_get(sizes, (size_t)i), shape[i]);
    return same ? VGG_OK : bad(path, name, "shape is not that of VGG11");
}

static vgg_status parse_tensor(const char *path, json_t *root, const safetensors_entry *entry)
{
    VGG_TRY(safetensors_check(path, root, entry->name, entry->view->rank, entry->view->shape));
    json_t *offsets = json_object_get(json_object_get(root, entry->name), "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !integer_is(json_array_get(offsets, 0), entry->data_offset) ||
        !integer_is(json_array_get(offsets, 1), entry->data_offset + entry->data_bytes))
        return bad(path, entry->name, "data_offsets are not where the tensor belongs");
    return VGG_OK;
}

static vgg_status parse_root(const char *path, json_t *root, checkpoint_state *state, uint32_t crc[SAFETENSORS_TENSORS])
{
    state->weights_only = json_object_size(root) == MODEL_TENSORS + 1;
    VGG_TRY(parse_metadata(path, json_object_get(root, "__metadata__"), state, crc));
    int tensors = safetensors_tensors_of(state);
    for (int i = 0; i < tensors; i++) {
        safetensors_entry entry = safetensors_tensor(i);
        VGG_TRY(parse_tensor(path, root, &entry));
    }
    if (json_object_size(root) != (size_t)tensors + 1) return bad(path, "header", "holds tensors that VGG11 does not have");
    return VGG_OK;
}

vgg_status safetensors_load_json(const char *path, const char *header, size_t header_bytes, json_t **root)
{
    json_error_t error;
    errno = 0;
    *root = json_parse(header, header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!*root && errno == ENOMEM) return no_memory(path);
    return *root ? VGG_OK : vgg_fail(VGG_BAD_CHECKPOINT, "%s: header is not JSON: %s", path, error.text);
}

vgg_status safetensors_parse(const char *path, const char *header, size_t header_bytes, checkpoint_state *state,
                             uint32_t crc[SAFETENSORS_TENSORS])
{
    json_t *root;
    VGG_TRY(safetensors_load_json(path, header, header_bytes, &root));
    vgg_status status = parse_root(path, root, state, crc);
    json_decref(root);
    return status;
}
