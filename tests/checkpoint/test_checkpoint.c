/* Checkpoints: what is written comes back bit by bit; what is damaged or hostile is refused, and nothing is lost. */
#include "vgg11/checkpoint/checkpoint.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/failing_memory.h"
#include "support/support.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weight_file_impl.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"

static char *folder;
static char good[CHECKPOINT_PATH_MAX]; /* written once, never changed */
static float *weights, *velocity;
static const char config_text[] = "{\"lr\": 0.05, \"note\": \"quotes \\\" and \\u00e9\"}";

static checkpoint_state make_state(uint64_t step)
{
    return (checkpoint_state){.position = {.step = step,
                                           .epoch = 3,
                                           .epoch_step = 17,
                                           .best_accuracy = 1.0 / 3,
                                           .epoch_loss_sum = 12.3456789,
                                           .epoch_correct = 99,
                                           .epoch_samples = 544,
                                           .evaluated_step = 15},
                              .seed = 9007199254740993u, /* not a double */
                              .ranks = 4,
                              .threads = 2,
                              .micro_batches = 8,
                              .pixel_mean = 0.1307,
                              .pixel_deviation = 0.3081,
                              .config_json = (char *)config_text,
                              .data_fingerprint = "seed=1",
                              .data_digest = "0123456789abcdef",
                              .tuning_fingerprint = "precision=fp32",
                              .exchange = "node",
                              .algorithms = "conv1:a/-/b"};
}

/* Random in the tensors, zero in the padding between. */
static float *flat(unsigned seed)
{
    void *memory;
    ck_assert_int_eq(vgg_map(model_flat_count() * sizeof(float), &memory), VGG_OK);
    for (int t = 0; seed && t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        support_fill((float *)memory + view->offset, view->count, seed + (unsigned)t);
    }
    return memory;
}

static void save(const char *path, uint64_t step)
{
    checkpoint_state state = make_state(step);
    ck_assert_msg(checkpoint_save(path, &state, weights, velocity, NULL) == VGG_OK, "%s", vgg_message());
}

static void set_up(void)
{
    folder = support_make_folder();
    weights = flat(100), velocity = flat(200);
    checkpoint_path(folder, 42, good);
    save(good, 42);
}

static void tear_down(void)
{
    support_remove_folder(folder);
    free(folder);
    vgg_unmap(weights, model_flat_count() * sizeof(float));
    vgg_unmap(velocity, model_flat_count() * sizeof(float));
}

static void assert_refused(const char *path, const char *what)
{
    checkpoint_state state = {0};
    vgg_status status = checkpoint_load(path, &state, NULL, NULL);
    ck_assert_msg(status == VGG_BAD_CHECKPOINT, "%s: status %d (%s)", what, status, vgg_message());
    ck_assert_msg(strstr(vgg_message(), path) != NULL, "%s: the message does not name the file: %s", what, vgg_message());
    checkpoint_state_clear(&state);
}

START_TEST(comes_back_bit_by_bit)
{
    checkpoint_state state = {0}, expected = make_state(42);
    float *w = flat(1), *v = flat(2);
    ck_assert_int_eq(checkpoint_load(good, &state, w, v), VGG_OK);
    ck_assert_mem_eq(w, weights, model_flat_count() * sizeof(float));
    ck_assert_mem_eq(v, velocity, model_flat_count() * sizeof(float));
    ck_assert_str_eq(state.config_json, expected.config_json);
    ck_assert_str_eq(state.data_fingerprint, expected.data_fingerprint);
    ck_assert_str_eq(state.data_digest, expected.data_digest);
    ck_assert_str_eq(state.tuning_fingerprint, expected.tuning_fingerprint);
    ck_assert_str_eq(state.exchange, expected.exchange);
    ck_assert_str_eq(state.algorithms, expected.algorithms);
    const run_position *at = &state.position, *right = &expected.position;
    ck_assert(at->step == right->step && at->epoch == right->epoch && at->epoch_step == right->epoch_step);
    ck_assert(at->best_accuracy == right->best_accuracy && at->epoch_loss_sum == right->epoch_loss_sum);
    ck_assert(at->epoch_correct == right->epoch_correct && at->epoch_samples == right->epoch_samples);
    ck_assert(at->evaluated_step == right->evaluated_step);
    ck_assert(state.seed == expected.seed && state.ranks == expected.ranks && state.threads == expected.threads);
    ck_assert(state.micro_batches == expected.micro_batches && state.pixel_mean == expected.pixel_mean);
    ck_assert(state.pixel_deviation == expected.pixel_deviation);
    checkpoint_state_clear(&state);
    vgg_unmap(w, model_flat_count() * sizeof(float));
    vgg_unmap(v, model_flat_count() * sizeof(float));
}
END_TEST

/* The file read by hand, as the format's definition says: no code of ours between. */
START_TEST(file_is_safetensors)
{
    FILE *file = fopen(good, "rb");
    unsigned char raw[8];
    ck_assert_uint_eq(fread(raw, 1, 8, file), 8);
    size_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | raw[i];
    ck_assert_uint_eq(length % 8, 0);
    char *header = calloc(1, length + 1);
    ck_assert_uint_eq(fread(header, 1, length, file), length);
    json_t *root = json_loads(header, 0, NULL);
    json_t *bias = json_object_get(root, "fc4.bias"), *kernel = json_object_get(root, "conv1.kernel");
    ck_assert_str_eq(json_string_value(json_object_get(bias, "dtype")), "F32");
    json_t *shape = json_object_get(kernel, "shape");
    const int hwio[] = {3, 3, 1, 64};
    for (int i = 0; i < 4; i++) ck_assert_int_eq(json_integer_value(json_array_get(shape, (size_t)i)), hwio[i]);
    long start = (long)json_integer_value(json_array_get(json_object_get(bias, "data_offsets"), 0));
    float values[10];
    ck_assert_int_eq(fseek(file, 8 + (long)length + start, SEEK_SET), 0);
    ck_assert_uint_eq(fread(values, sizeof(float), 10, file), 10);
    ck_assert_mem_eq(values, weights + model_tensors()[MODEL_TENSORS - 1].offset, sizeof values);
    json_decref(root);
    free(header);
    fclose(file);
}
END_TEST

/* A copy that shares nothing, cut to `bytes`. */
static void copy_cut(const char *path, off_t bytes)
{
    int from = open(good, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t done = 0;
    while (done < bytes) {
        off_t at = done;
        ssize_t got = copy_file_range(from, &at, to, NULL, (size_t)(bytes - done), 0);
        ck_assert_int_gt(got, 0);
        done += got;
    }
    close(from), close(to);
}

static off_t size_of(const char *path)
{
    struct stat facts;
    ck_assert_int_eq(stat(path, &facts), 0);
    return facts.st_size;
}

START_TEST(truncation_is_refused)
{
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/cut", folder);
    off_t whole = size_of(good);
    copy_cut(path, whole);
    off_t lengths[64] = {whole - 1, whole - 4, whole / 2, whole / 3};
    int count = 4;
    for (off_t length = 9000; length > 0; length = length * 3 / 4) lengths[count++] = length;
    lengths[count++] = 0;
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(truncate(path, lengths[i]), 0);
        assert_refused(path, "truncated");
    }
    ck_assert_int_eq(truncate(path, whole + 1), 0);
    assert_refused(path, "one byte longer");
    unlink(path);
}
END_TEST

static void flip(const char *path, off_t byte, int bit)
{
    int file = open(path, O_RDWR);
    unsigned char value;
    ck_assert_int_eq(pread(file, &value, 1, byte), 1);
    value ^= (unsigned char)(1 << bit);
    ck_assert_int_eq(pwrite(file, &value, 1, byte), 1);
    close(file);
}

/* The length, the whole header in strides, and some of the data, the last byte among it. */
START_TEST(flipped_bits_are_refused)
{
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/flipped", folder);
    off_t whole = size_of(good);
    copy_cut(path, whole);
    off_t bytes[512];
    int count = 0;
    for (off_t i = 0; i < 8; i++) bytes[count++] = i;
    for (off_t i = 8; i < 9000 && count < 500; i += 23) bytes[count++] = i;
    bytes[count++] = whole / 2;
    bytes[count++] = whole - 1;
    for (int i = 0; i < count; i++) {
        flip(path, bytes[i], i % 8);
        assert_refused(path, "bit flipped");
        flip(path, bytes[i], i % 8);
    }
    checkpoint_state state = {0};
    ck_assert_int_eq(checkpoint_load(path, &state, NULL, NULL), VGG_OK);
    checkpoint_state_clear(&state);
    unlink(path);
}
END_TEST

/* Changes a header into a hostile one. */
typedef void hostile_change(json_t *root, json_t *metadata);

static json_t *tensor(json_t *root, const char *name) { return json_object_get(root, name); }
static void set_offsets(json_t *t, json_int_t from, json_int_t to)
{
    json_object_set_new(t, "data_offsets", json_pack("[I,I]", from, to));
}

static void overlap(json_t *root, json_t *m) { (void)m, set_offsets(tensor(root, "conv2.kernel"), 0, 294912); }
static void negative(json_t *root, json_t *m) { (void)m, set_offsets(tensor(root, "conv1.kernel"), -2304, 0); }
static void huge(json_t *root, json_t *m) { (void)m, set_offsets(tensor(root, "fc4.bias"), INT64_MAX - 40, INT64_MAX); }
static void swapped(json_t *root, json_t *m) { (void)m, set_offsets(tensor(root, "conv1.kernel"), 2304, 0); }
static void no_offsets(json_t *root, json_t *m) { (void)m, json_object_del(tensor(root, "conv1.bias"), "data_offsets"); }
static void text_offsets(json_t *root, json_t *m)
{
    (void)m, json_object_set_new(tensor(root, "conv1.bias"), "data_offsets", json_pack("[s,s]", "2304", "2560"));
}
static void real_offsets(json_t *root, json_t *m)
{
    (void)m, json_object_set_new(tensor(root, "conv1.bias"), "data_offsets", json_pack("[f,f]", 2304.0, 2560.0));
}
static void half(json_t *root, json_t *m) { (void)m, json_object_set_new(tensor(root, "fc1.kernel"), "dtype", json_string("F16")); }
static void no_dtype(json_t *root, json_t *m) { (void)m, json_object_del(tensor(root, "fc1.kernel"), "dtype"); }
static void flat_shape(json_t *root, json_t *m)
{
    (void)m, json_object_set_new(tensor(root, "conv1.kernel"), "shape", json_pack("[i]", 576));
}
static void deep_shape(json_t *root, json_t *m)
{
    (void)m, json_object_set_new(tensor(root, "conv1.kernel"), "shape", json_pack("[i,i,i,i,i]", 3, 3, 1, 64, 1));
}
static void turned_shape(json_t *root, json_t *m)
{
    (void)m, json_object_set_new(tensor(root, "conv1.kernel"), "shape", json_pack("[i,i,i,i]", 64, 1, 3, 3));
}
static void zero_shape(json_t *root, json_t *m)
{
    (void)m, json_object_set_new(tensor(root, "fc4.bias"), "shape", json_pack("[i]", 0));
}
static void minus_shape(json_t *root, json_t *m)
{
    (void)m, json_object_set_new(tensor(root, "fc4.bias"), "shape", json_pack("[i]", -10));
}
static void missing(json_t *root, json_t *m) { (void)m, json_object_del(root, "velocity.fc4.bias"); }
static void additional(json_t *root, json_t *m) { (void)m, json_object_set(root, "conv9.kernel", tensor(root, "conv8.kernel")); }
static void renamed(json_t *root, json_t *m) { additional(root, m), json_object_del(root, "conv8.kernel"); }
static void no_object(json_t *root, json_t *m) { (void)m, json_object_set_new(root, "conv3.bias", json_integer(7)); }
static void more_members(json_t *root, json_t *m)
{
    (void)m, json_object_set_new(tensor(root, "conv3.bias"), "strides", json_array());
}
static void newer(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "format_version", json_string("2")); }
static void no_version(json_t *root, json_t *m) { (void)root, json_object_del(m, "format_version"); }
static void foreign(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "format", json_string("pt")); }
static void no_metadata(json_t *root, json_t *m) { (void)m, json_object_del(root, "__metadata__"); }
static void list_metadata(json_t *root, json_t *m) { (void)m, json_object_set_new(root, "__metadata__", json_array()); }
static void minus_step(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "step", json_string("-1")); }
static void vast_step(json_t *root, json_t *m)
{
    (void)root, json_object_set_new(m, "step", json_string("99999999999999999999999"));
}
static void vast_epoch(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "epoch", json_string("4294967296")); }
static void nan_mean(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "pixel_mean", json_string("nan")); }
static void number_step(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "step", json_integer(42)); }
static void no_step(json_t *root, json_t *m) { (void)root, json_object_del(m, "step"); }
static void escape_setting(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "setting", json_string("\x1b[2Jfp32")); }
static void two_algorithms(json_t *root, json_t *m)
{
    (void)root, json_object_set_new(m, "algorithms", json_string("conv1:a\nconv2:b"));
}
static void number_exchange(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "exchange", json_integer(1)); }
static void no_crc(json_t *root, json_t *m) { (void)root, json_object_del(m, "crc32c.fc4.bias"); }
static void bad_crc(json_t *root, json_t *m) { (void)root, json_object_set_new(m, "crc32c.fc4.bias", json_string("0x123456")); }

static hostile_change *const hostile[] = {
    overlap,     negative,    huge,          swapped,    no_offsets,     text_offsets,   real_offsets,
    half,        no_dtype,    flat_shape,    deep_shape, turned_shape,   zero_shape,     minus_shape,
    missing,     additional,  renamed,       no_object,  more_members,   newer,          no_version,
    foreign,     no_metadata, list_metadata, minus_step, vast_step,      vast_epoch,     nan_mean,
    number_step, no_step,     no_crc,        bad_crc,    escape_setting, two_algorithms, number_exchange,
};

static json_t *good_header(void)
{
    unsigned char raw[8];
    size_t length = 0;
    FILE *file = fopen(good, "rb");
    ck_assert_uint_eq(fread(raw, 1, 8, file), 8);
    for (int i = 7; i >= 0; i--) length = length << 8 | raw[i];
    char *text = malloc(length);
    ck_assert_uint_eq(fread(text, 1, length, file), length);
    fclose(file);
    json_t *root = json_loadb(text, length, 0, NULL);
    free(text);
    return root;
}

/* An attacker computes checksums as well as anybody. */
static void seal(json_t *metadata)
{
    json_object_del(metadata, "metadata_crc32c");
    char *text = json_dumps(metadata, JSON_SORT_KEYS | JSON_COMPACT);
    json_object_set_new(metadata, "metadata_crc32c", json_sprintf("%08" PRIx32, hash_crc32c(0, text, strlen(text))));
    free(text);
}

static void write_header(const char *path, json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    size_t length = strlen(text);
    FILE *file = fopen(path, "wb");
    for (int i = 0; i < 8; i++) fputc((int)(length >> (8 * i) & 255), file);
    fwrite(text, 1, length, file);
    fclose(file);
    ck_assert_int_eq(truncate(path, (off_t)(8 + length + safetensors_data_bytes())), 0);
    free(text);
}

START_TEST(hostile_headers_are_refused)
{
    char path[CHECKPOINT_PATH_MAX], what[32];
    snprintf(path, sizeof path, "%s/hostile", folder);
    snprintf(what, sizeof what, "hostile header %d", _i);
    json_t *root = good_header(), *metadata = json_incref(json_object_get(root, "__metadata__"));
    hostile[_i](root, metadata);
    seal(metadata);
    write_header(path, root);
    assert_refused(path, what);
    checkpoint_state state = {0};
    ck_assert_int_eq(checkpoint_read_state(path, &state), VGG_BAD_CHECKPOINT);
    checkpoint_state_clear(&state);
    json_decref(metadata);
    json_decref(root);
    unlink(path);
}
END_TEST

/* The other side of that test: unchanged, the same way of writing gives a header that is taken. */
START_TEST(sealed_header_is_read)
{
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/sealed", folder);
    json_t *root = good_header();
    seal(json_object_get(root, "__metadata__"));
    write_header(path, root);
    checkpoint_state state = {0};
    ck_assert_msg(checkpoint_read_state(path, &state) == VGG_OK, "%s", vgg_message());
    ck_assert_uint_eq(state.position.step, 42);
    checkpoint_state_clear(&state);
    json_decref(root);
    unlink(path);
}
END_TEST

/* Programs before those fields did not write them. */
START_TEST(fields_that_came_later_may_be_missing)
{
    static const char *const later[] = {"setting", "exchange", "algorithms", "data_digest", "evaluated_step"};
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/older", folder);
    json_t *root = good_header(), *metadata = json_object_get(root, "__metadata__");
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) ck_assert_int_eq(json_object_del(metadata, later[i]), 0);
    seal(metadata);
    write_header(path, root);
    checkpoint_state state = {0};
    ck_assert_msg(checkpoint_read_state(path, &state) == VGG_OK, "%s", vgg_message());
    ck_assert_str_eq(state.tuning_fingerprint, "");
    ck_assert_str_eq(state.exchange, "");
    ck_assert_str_eq(state.algorithms, "");
    ck_assert_str_eq(state.data_digest, "");
    ck_assert_uint_eq(state.position.evaluated_step, 0);
    checkpoint_state_clear(&state);
    json_decref(root);
    unlink(path);
}
END_TEST

START_TEST(foreign_files_are_refused)
{
    static const struct {
        const char *text, *says;
    } files[] = {{"", "has 0 bytes; too short"},
                 {"PK\x03\x04", "has 4 bytes; too short"},
                 {"\x89HDF\r\n\x1a\n and so on", "not a checkpoint"},
                 {"{\"a\": 1}", "not a checkpoint"},
                 {"hello, world, hello, world", "not a checkpoint"}};
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/foreign", folder);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        FILE *file = fopen(path, "wb");
        fputs(files[i].text, file);
        fclose(file);
        assert_refused(path, "foreign");
        ck_assert_msg(strstr(vgg_message(), files[i].says) != NULL, "%s: %s", files[i].text, vgg_message());
    }
    unlink(path);
    assert_refused(path, "absent");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    assert_refused(path, "pipe");
    unlink(path);
    assert_refused(folder, "folder");
    assert_refused("/dev/zero", "device");
}
END_TEST

START_TEST(failed_save_leaves_the_old_one)
{
    checkpoint_state state = make_state(43);
    int entries = support_count_entries(folder);
    ck_assert_int_eq(checkpoint_save("/nonexistent/folder/checkpoint", &state, weights, velocity, NULL), VGG_IO_ERROR);
    struct rlimit old, small = {1 << 20, 1 << 20};
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    vgg_status status = checkpoint_save(good, &state, weights, velocity, NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(status, VGG_IO_ERROR);
    ck_assert_int_eq(support_count_entries(folder), entries);
    checkpoint_state back = {0};
    ck_assert_int_eq(checkpoint_load(good, &back, NULL, NULL), VGG_OK);
    ck_assert_uint_eq(back.position.step, 42);
    checkpoint_state_clear(&back);
}
END_TEST

START_TEST(newest_sound_one_is_found)
{
    char path[CHECKPOINT_PATH_MAX], newer[CHECKPOINT_PATH_MAX], distraction[CHECKPOINT_PATH_MAX];
    checkpoint_path(folder, 100000043, newer); /* nine digits: newer than 42, though not by the alphabet */
    snprintf(distraction, sizeof distraction, "%s/checkpoint-99999999.safetensors.old", folder);
    fclose(fopen(distraction, "w"));
    save(newer, 100000043);
    ck_assert_int_eq(checkpoint_find_newest(folder, path), VGG_OK);
    ck_assert_str_eq(path, newer);
    flip(newer, size_of(newer) - 1, 3);
    vgg_log_configure(VGG_LOG_ERROR, 1);
    ck_assert_int_eq(checkpoint_find_newest(folder, path), VGG_OK);
    ck_assert_str_eq(path, good);
    unlink(newer), unlink(distraction);
    char *empty = support_make_folder();
    ck_assert_int_eq(checkpoint_find_newest(empty, path), VGG_BAD_CHECKPOINT);
    ck_assert_int_eq(checkpoint_find_newest("/nonexistent", path), VGG_BAD_CHECKPOINT);
    support_remove_folder(empty);
    free(empty);
}
END_TEST

/* Sparse: a header and no tensors, of which nobody looks at the numbers. */
static void make_hollow(const char *in, uint64_t step)
{
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(in, step, path);
    json_t *root = good_header();
    seal(json_object_get(root, "__metadata__"));
    write_header(path, root);
    json_decref(root);
}

static void make_empty(const char *in, const char *name)
{
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", in, name);
    fclose(fopen(path, "w"));
}

static bool is_there(const char *in, uint64_t step)
{
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(in, step, path);
    return access(path, F_OK) == 0;
}

START_TEST(old_ones_are_pruned)
{
    char *other = support_make_folder(), path[CHECKPOINT_PATH_MAX];
    size_t passed_over;
    for (uint64_t step = 1; step <= 5; step++) make_hollow(other, step);
    make_empty(other, "notes.txt");
    checkpoint_path(other, 1, path);
    ck_assert_int_eq(checkpoint_prune(other, 0, path, (checkpoint_steps){0}, &passed_over), VGG_OK);
    ck_assert(is_there(other, 2));
    ck_assert_int_eq(checkpoint_prune(other, 2, path, (checkpoint_steps){(const uint64_t[]){7, 3}, 2}, &passed_over), VGG_OK);
    const bool stays[] = {true, false, true, true, true};
    for (uint64_t step = 1; step <= 5; step++) ck_assert_int_eq(is_there(other, step), stays[step - 1]);
    ck_assert_uint_eq(passed_over, 0);
    snprintf(path, sizeof path, "%s/notes.txt", other);
    ck_assert_int_eq(access(path, F_OK), 0);
    support_remove_folder(other);
    free(other);
}
END_TEST

/* Newer than all, older than all and in between: an empty file, a folder, a cut-off file, and names that no checkpoint has. */
START_TEST(what_is_only_named_like_a_checkpoint_neither_counts_nor_goes)
{
    char *other = support_make_folder(), path[CHECKPOINT_PATH_MAX];
    size_t passed_over;
    for (uint64_t step = 10; step <= 14; step++) make_hollow(other, step);
    checkpoint_path(other, 12, path);
    ck_assert_int_eq(truncate(path, size_of(path) - 1), 0);
    make_empty(other, "checkpoint-99999999.safetensors");
    make_empty(other, "checkpoint-0000000011.safetensors");
    make_empty(other, "checkpoint-11.safetensors");
    make_empty(other, "checkpoints00000015.safetensors");
    checkpoint_path(other, 1, path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(checkpoint_prune(other, 3, NULL, (checkpoint_steps){0}, &passed_over), VGG_OK);
    ck_assert_uint_eq(passed_over, 3);
    const uint64_t stay[] = {1, 11, 12, 13, 14, 99999999};
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        ck_assert_msg(is_there(other, stay[i]), "%lu is gone", (unsigned long)stay[i]);
    ck_assert(!is_there(other, 10));
    support_remove_folder(other);
    free(other);
}
END_TEST

/* The second cannot be moved, as if the process had ended there: the newest is still the newest, and once more is enough. */
START_TEST(later_ones_are_set_aside_the_newest_last)
{
    char *other = support_make_folder(), path[CHECKPOINT_PATH_MAX], aside[CHECKPOINT_PATH_MAX], obstacle[CHECKPOINT_PATH_MAX];
    for (uint64_t step = 1; step <= 5; step++) {
        checkpoint_path(other, step, path);
        fclose(fopen(path, "w"));
    }
    snprintf(aside, sizeof aside, "%s/aside", other);
    checkpoint_path(aside, 4, obstacle);
    ck_assert_int_eq(mkdir(aside, 0700), 0);
    ck_assert_int_eq(mkdir(obstacle, 0700), 0);
    ck_assert_int_eq(checkpoint_set_aside(other, 2, aside), VGG_IO_ERROR);
    ck_assert(is_there(aside, 3) && !is_there(other, 3) && is_there(other, 4) && is_there(other, 5));
    ck_assert_int_eq(rmdir(obstacle), 0);
    ck_assert_int_eq(checkpoint_set_aside(other, 2, aside), VGG_OK);
    for (uint64_t step = 1; step <= 5; step++)
        ck_assert(is_there(other, step) == (step <= 2) && is_there(aside, step) == (step > 2));
    support_remove_folder(other);
    free(other);
}
END_TEST

START_TEST(a_place_whose_name_is_too_long_is_refused)
{
    char *other = support_make_folder(), aside[CHECKPOINT_PATH_MAX];
    make_hollow(other, 1);
    int length = snprintf(aside, sizeof aside, "%s/aside", other);
    ck_assert_int_eq(mkdir(aside, 0700), 0);
    while (length < (int)sizeof aside - 3) length += snprintf(aside + length, sizeof aside - (size_t)length, "/.");
    ck_assert_int_eq(checkpoint_set_aside(other, 0, aside), VGG_IO_ERROR);
    ck_assert(is_there(other, 1));
    support_remove_folder(other);
    free(other);
}
END_TEST

START_TEST(alias_replaces_the_old_one)
{
    char best[CHECKPOINT_PATH_MAX];
    snprintf(best, sizeof best, "%s/best.safetensors", folder);
    fclose(fopen(best, "w"));
    for (int again = 0; again < 2; again++) { /* the second time both names are the same file already */
        int entries = support_count_entries(folder);
        ck_assert_int_eq(checkpoint_alias(good, best), VGG_OK);
        ck_assert_int_eq(support_count_entries(folder), entries);
    }
    checkpoint_state state = {0};
    ck_assert_int_eq(checkpoint_load(best, &state, NULL, NULL), VGG_OK);
    checkpoint_state_clear(&state);
    unlink(best);
}
END_TEST

static vgg_status read_other_weights(const char *path, float *found)
{
    (void)path;
    memcpy(found, velocity, model_flat_count() * sizeof *found);
    return VGG_OK;
}

/* Formats of other programs have no checksums of their own. */
START_TEST(weights_that_read_back_as_others_are_not_kept)
{
    char path[CHECKPOINT_PATH_MAX];
    const file_part part = {weights, model_flat_count() * sizeof *weights};
    snprintf(path, sizeof path, "%s/weights", folder);
    ck_assert_int_eq(weight_file_replace(path, &part, 1, weights, read_other_weights), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "reads back other than it was written"));
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Each allocation of reading a header in turn. */
START_TEST(no_memory_is_no_damage)
{
    static memory_chains chains;
    checkpoint_state state = {0};
    failing_memory_list(&chains);
    vgg_status whole = checkpoint_read_state(good, &state);
    failing_memory_list(NULL);
    ck_assert_int_eq(whole, VGG_OK);
    ck_assert_int_gt(chains.count, 5);
    for (int i = 0; i < chains.count; i++) {
        checkpoint_state_clear(&state);
        failing_memory_fail(chains.first[i]);
        vgg_status status = checkpoint_read_state(good, &state);
        failing_memory_fail(0);
        ck_assert_msg(status == VGG_UNAVAILABLE, "allocation %ld: status %d (%s)", chains.first[i], status, vgg_message());
    }
    checkpoint_state_clear(&state);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tests = tcase_create("checkpoint");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, comes_back_bit_by_bit);
    tcase_add_test(tests, file_is_safetensors);
    tcase_add_test(tests, truncation_is_refused);
    tcase_add_test(tests, flipped_bits_are_refused);
    tcase_add_loop_test(tests, hostile_headers_are_refused, 0, sizeof hostile / sizeof *hostile);
    tcase_add_test(tests, sealed_header_is_read);
    tcase_add_test(tests, fields_that_came_later_may_be_missing);
    tcase_add_test(tests, foreign_files_are_refused);
    tcase_add_test(tests, failed_save_leaves_the_old_one);
    tcase_add_test(tests, newest_sound_one_is_found);
    tcase_add_test(tests, old_ones_are_pruned);
    tcase_add_test(tests, what_is_only_named_like_a_checkpoint_neither_counts_nor_goes);
    tcase_add_test(tests, later_ones_are_set_aside_the_newest_last);
    tcase_add_test(tests, a_place_whose_name_is_too_long_is_refused);
    tcase_add_test(tests, alias_replaces_the_old_one);
    tcase_add_test(tests, weights_that_read_back_as_others_are_not_kept);
    tcase_add_test(tests, no_memory_is_no_damage);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
