#include "vgg11/data/idx.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "idx_files.h"
#include "support/support.h"
#include "vgg11/base/cpu.h"

static char *folder;

static void set_up(void) { folder = support_make_folder(); }

static void tear_down(void)
{
    support_remove_folder(folder);
    free(folder);
}

typedef enum { IMAGES, LABELS } file_kind;

/* Reads all of a file the way a caller does: what the header says is believed as far as the reader believed it. */
static vgg_status read_all(const char *path, file_kind kind, byte_buffer *content)
{
    idx_header header;
    *content = (byte_buffer){0};
    VGG_TRY(kind == IMAGES ? idx_read_image_header(path, &header) : idx_read_label_header(path, &header));
    content->count = kind == IMAGES ? (size_t)header.count * header.rows * header.columns : header.count;
    content->bytes = malloc(content->count);
    vgg_range all = {0, header.count};
    return kind == IMAGES ? idx_files_read_images(path, all, content->bytes) : idx_read_labels(path, all, content->bytes);
}

static void assert_refused(const char *path, file_kind kind, const char *what)
{
    byte_buffer content;
    vgg_status status = read_all(path, kind, &content);
    free(content.bytes);
    ck_assert_msg(status == VGG_BAD_DATA, "%s: status %d", what, status);
    ck_assert_msg(strstr(vgg_message(), path) != NULL, "%s: the message does not name the file: %s", what, vgg_message());
}

/* A file of `words` header words and `payload` bytes 0, 1 .. 9, 0 .. of which the first `cut` bytes are kept (0 for all). */
typedef struct {
    const char *name;
    file_kind kind;
    uint32_t header[4];
    int words;
    size_t payload;
    size_t cut;
    const char *says; /* words that the message must have, NULL for any */
} bad_file;

#define GOOD_IMAGES {0x803, 5, 3, 4}, 4, 60
#define GOOD_LABELS {0x801, 5}, 2, 5

static const bad_file bad_files[] = {
    {"image header of 1 byte", IMAGES, GOOD_IMAGES, 1, "ends after"},
    {"image header of 2 bytes", IMAGES, GOOD_IMAGES, 2, "ends after"},
    {"image header of 3 bytes", IMAGES, GOOD_IMAGES, 3, "ends after"},
    {"image header of 4 bytes", IMAGES, GOOD_IMAGES, 4, "ends after"},
    {"image header of 5 bytes", IMAGES, GOOD_IMAGES, 5, "ends after"},
    {"image header of 6 bytes", IMAGES, GOOD_IMAGES, 6, "ends after"},
    {"image header of 7 bytes", IMAGES, GOOD_IMAGES, 7, "ends after"},
    {"image header of 8 bytes", IMAGES, GOOD_IMAGES, 8, "ends after"},
    {"image header of 9 bytes", IMAGES, GOOD_IMAGES, 9, "ends after"},
    {"image header of 10 bytes", IMAGES, GOOD_IMAGES, 10, "ends after"},
    {"image header of 11 bytes", IMAGES, GOOD_IMAGES, 11, "ends after"},
    {"image header of 12 bytes", IMAGES, GOOD_IMAGES, 12, "ends after"},
    {"image header of 13 bytes", IMAGES, GOOD_IMAGES, 13, "ends after"},
    {"image header of 14 bytes", IMAGES, GOOD_IMAGES, 14, "ends after"},
    {"image header of 15 bytes", IMAGES, GOOD_IMAGES, 15, "ends after"},
    {"empty images", IMAGES, {0}, 0, 0, 0, "ends after"},
    {"empty labels", LABELS, {0}, 0, 0, 0, "ends after"},
    {"label header of 3 bytes", LABELS, GOOD_LABELS, 3, "ends after"},
    {"label header of 7 bytes", LABELS, GOOD_LABELS, 7, "ends after"},
    {"no pixels", IMAGES, {0x803, 5, 3, 4}, 4, 0, 0, NULL},
    {"no labels", LABELS, {0x801, 5}, 2, 0, 0, NULL},
    {"images one byte short", IMAGES, {0x803, 5, 3, 4}, 4, 59, 0, NULL},
    {"images one byte long", IMAGES, {0x803, 5, 3, 4}, 4, 61, 0, NULL},
    {"images one image long", IMAGES, {0x803, 5, 3, 4}, 4, 72, 0, NULL},
    {"labels one byte short", LABELS, {0x801, 5}, 2, 4, 0, NULL},
    {"labels one byte long", LABELS, {0x801, 5}, 2, 6, 0, NULL},
    {"magic zero", IMAGES, {0, 5, 3, 4}, 4, 60, 0, "0x00000000"},
    {"magic little-endian", IMAGES, {0x03080000, 5, 3, 4}, 4, 60, 0, "0x03080000"},
    {"signed byte type", IMAGES, {0x903, 5, 3, 4}, 4, 60, 0, "0x00000903: it is IDX of signed bytes"},
    {"float type", IMAGES, {0xd03, 5, 3, 4}, 4, 240, 0, "0x00000d03: it is IDX of 32-bit floating-point numbers"},
    {"integer labels", LABELS, {0xc01, 5}, 2, 20, 0, "0x00000c01: it is IDX of 32-bit integers"},
    {"two dimensions", IMAGES, {0x802, 5, 12}, 3, 60, 0, "0x00000802"},
    {"four dimensions", IMAGES, {0x804, 5, 3, 4}, 4, 60, 0, "0x00000804"},
    {"high magic byte", IMAGES, {0x01000803, 5, 3, 4}, 4, 60, 0, "0x01000803"},
    {"labels where images are wanted", IMAGES, GOOD_LABELS, 0, "swapped"},
    {"images where labels are wanted", LABELS, GOOD_IMAGES, 0, "swapped"},
    {"label magic of two dimensions", LABELS, {0x802, 5}, 2, 5, 0, "0x00000802"},
    {"no images", IMAGES, {0x803, 0, 3, 4}, 4, 0, 0, "announces 0 images"},
    {"count 0, but pixels", IMAGES, {0x803, 0, 3, 4}, 4, 60, 0, "announces 0 images"},
    {"count 0 of labels", LABELS, {0x801, 0}, 2, 0, 0, "announces 0 labels"},
    {"rows 0", IMAGES, {0x803, 5, 0, 4}, 4, 0, 0, "0x4"},
    {"columns 0", IMAGES, {0x803, 5, 3, 0}, 4, 0, 0, "3x0"},
    {"rows 33", IMAGES, {0x803, 5, 33, 4}, 4, 660, 0, "33x4"},
    {"columns 33", IMAGES, {0x803, 5, 3, 33}, 4, 495, 0, "3x33"},
    {"rows 2^31", IMAGES, {0x803, 5, 0x80000000, 4}, 4, 60, 0, NULL},
    {"columns 2^32 - 1", IMAGES, {0x803, 5, 3, 0xffffffff}, 4, 60, 0, NULL},
    {"sides whose product wraps to 0", IMAGES, {0x803, 5, 0x10000, 0x10000}, 4, 60, 0, NULL},
    {"sizes whose product wraps to 60", IMAGES, {0x803, 0x40000005, 3, 4}, 4, 60, 0, NULL},
    {"count 2^32 - 1", IMAGES, {0x803, 0xffffffff, 3, 4}, 4, 60, 0, NULL},
    {"count above the bound", IMAGES, {0x803, IDX_MAX_COUNT + 1, 3, 4}, 4, 60, 0, NULL},
    {"count at the bound", IMAGES, {0x803, IDX_MAX_COUNT, 32, 32}, 4, 60, 0, NULL},
    {"label count 2^32 - 1", LABELS, {0x801, 0xffffffff}, 2, 5, 0, NULL},
    {"label count at the bound", LABELS, {0x801, IDX_MAX_COUNT}, 2, 5, 0, NULL},
};
enum { BAD_FILES = sizeof bad_files / sizeof *bad_files };

START_TEST(a_bad_file_is_refused)
{
    const bad_file *row = &bad_files[_i];
    byte_buffer file = idx_make(row->header, row->words, row->payload);
    if (row->cut > 0) file.count = row->cut;
    const char *path = path_in(folder, "bad-file");
    file_write(path, file.bytes, file.count);
    assert_refused(path, row->kind, row->name);
    if (row->says)
        ck_assert_msg(strstr(vgg_message(), row->says) != NULL, "%s: \"%s\" lacks \"%s\"", row->name, vgg_message(), row->says);
    byte_buffer packed = gzip_bytes(file.bytes, file.count);
    file_write(path, packed.bytes, packed.count);
    assert_refused(path, row->kind, row->name);
    free(packed.bytes);
    free(file.bytes);
}
END_TEST

static byte_buffer good_images(void) { return idx_make((const uint32_t[]){0x803, 5, 3, 4}, 4, 60); }

static byte_buffer packed_images(void)
{
    byte_buffer plain = good_images(), packed = gzip_bytes(plain.bytes, plain.count);
    free(plain.bytes);
    return packed;
}

static byte_buffer text_bytes(const char *text) { return (byte_buffer){(uint8_t *)strdup(text), strlen(text)}; }

/* Ways to spoil a good gzipped image file. */
static byte_buffer flip(byte_buffer file, size_t index, uint8_t bits)
{
    file.bytes[index] ^= bits;
    return file;
}

static byte_buffer other_method(byte_buffer f) { return flip(f, 2, 1); }
static byte_buffer reserved_flags(byte_buffer f) { return flip(f, 3, 0xe0); }
static byte_buffer first_block(byte_buffer f) { return flip(f, 10, 0x06); }
static byte_buffer checksum(byte_buffer f) { return flip(f, f.count - 8, 1); }
static byte_buffer length_low(byte_buffer f) { return flip(f, f.count - 4, 1); }
static byte_buffer length_high(byte_buffer f) { return flip(f, f.count - 1, 0x80); }
static byte_buffer garbage_after(byte_buffer f) { return buffer_join(f, text_bytes("garbage")); }
static byte_buffer zeros_after(byte_buffer f, size_t count) { return buffer_join(f, (byte_buffer){calloc(count, 1), count}); }
static byte_buffer more_after_zeros(byte_buffer f) { return buffer_join(zeros_after(f, 7), packed_images()); }
static byte_buffer garbage_after_zeros(byte_buffer f) { return garbage_after(zeros_after(f, 7)); }
static byte_buffer twice(byte_buffer f) { return buffer_join(f, packed_images()); }
static byte_buffer half_a_magic_after(byte_buffer f) { return buffer_join(f, text_bytes("\x1f")); }
static byte_buffer a_magic_after(byte_buffer f) { return buffer_join(f, text_bytes("\x1f\x8b")); }
static byte_buffer packed_twice(byte_buffer f)
{
    byte_buffer outer = gzip_bytes(f.bytes, f.count);
    free(f.bytes);
    return outer;
}

static const struct {
    const char *name;
    byte_buffer (*spoil)(byte_buffer file);
} spoils[] = {
    {"unknown compression method", other_method},
    {"reserved header flags", reserved_flags},
    {"reserved block type", first_block},
    {"wrong checksum", checksum},
    {"wrong length, low byte", length_low},
    {"wrong length, high byte", length_high},
    {"garbage after the end", garbage_after},
    {"another file after zeros", more_after_zeros},
    {"garbage after zeros", garbage_after_zeros},
    {"the file twice", twice},
    {"half a magic after the end", half_a_magic_after},
    {"a magic after the end", a_magic_after},
    {"gzipped twice", packed_twice},
};
enum { SPOILS = sizeof spoils / sizeof *spoils };

START_TEST(a_spoiled_gzip_file_is_refused)
{
    byte_buffer file = spoils[_i].spoil(packed_images());
    const char *path = path_in(folder, "spoiled.gz");
    file_write(path, file.bytes, file.count);
    assert_refused(path, IMAGES, spoils[_i].name);
    free(file.bytes);
}
END_TEST

/* To whole blocks, as tapes and some tools do. */
START_TEST(zeros_after_gzip_data_are_passed_over)
{
    static const size_t counts[] = {1, 512, 300000}; /* more than is read ahead */
    byte_buffer good = good_images(), content;
    const char *path = path_in(folder, "padded.gz");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        byte_buffer file = zeros_after(packed_images(), counts[i]);
        file_write(path, file.bytes, file.count);
        ck_assert_msg(read_all(path, IMAGES, &content) == VGG_OK, "%zu zeros: %s", counts[i], vgg_message());
        ck_assert_mem_eq(content.bytes, good.bytes + 16, 60);
        free(content.bytes);
        free(file.bytes);
    }
    free(good.bytes);
}
END_TEST

static const struct {
    const char *text, *says;
} strange_texts[] = {
    {"<!DOCTYPE html><title>404</title>", "HTML"},
    {"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9912422\n", "Git LFS"},
    {"PK\x03\x04 and so on", "ZIP"},
    {"hello, world", "0x68656c6c, IDX images begin with"},
};

START_TEST(what_a_download_left_instead_is_said)
{
    const char *path = path_in(folder, "strange");
    file_write(path, (const uint8_t *)strange_texts[_i].text, strlen(strange_texts[_i].text));
    assert_refused(path, IMAGES, strange_texts[_i].says);
    ck_assert_msg(strstr(vgg_message(), strange_texts[_i].says) != NULL, "%s", vgg_message());
}
END_TEST

START_TEST(a_gzip_file_cut_anywhere_is_refused)
{
    byte_buffer file = packed_images();
    const char *path = path_in(folder, "cut.gz");
    for (size_t length = 0; length < file.count; length++) {
        file_write(path, file.bytes, length);
        assert_refused(path, IMAGES, "cut");
        ck_assert_msg(length < 2 || strstr(vgg_message(), "is cut off"), "%zu bytes: %s", length, vgg_message());
    }
    free(file.bytes);
}
END_TEST

/* Some header bytes (time, system) mean nothing to a reader; all others must not go unnoticed. */
START_TEST(no_flipped_bit_gives_wrong_pixels)
{
    byte_buffer file = packed_images(), good = good_images(), content;
    const char *path = path_in(folder, "flipped.gz");
    int unnoticed = 0;
    for (size_t bit = 0; bit < 8 * file.count; bit++) {
        flip(file, bit / 8, (uint8_t)(1 << bit % 8));
        file_write(path, file.bytes, file.count);
        vgg_status status = read_all(path, IMAGES, &content);
        ck_assert_msg(status == VGG_OK || status == VGG_BAD_DATA, "bit %zu: status %d", bit, status);
        if (status == VGG_OK) ck_assert_mem_eq(content.bytes, good.bytes + 16, 60);
        unnoticed += status == VGG_OK;
        free(content.bytes);
        flip(file, bit / 8, (uint8_t)(1 << bit % 8));
    }
    ck_assert_int_le(unnoticed, 8 * 7);
    free(good.bytes);
    free(file.bytes);
}
END_TEST

START_TEST(what_is_not_a_regular_file_is_refused_at_once)
{
    const char *fifo = path_in(folder, "fifo"), *loop = path_in(folder, "loop"), *dangling = path_in(folder, "dangling");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(symlink(loop, loop), 0);
    ck_assert_int_eq(symlink("/nonexistent", dangling), 0);
    const char *const paths[] = {fifo,        loop,        dangling,       folder, "/dev/zero",
                                 "/dev/null", "/dev/full", "/nonexistent", "",     "/dev/zero/x"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_refused(paths[i], IMAGES, paths[i]);
        assert_refused(paths[i], LABELS, paths[i]);
    }
}
END_TEST

/* Nothing is mapped at its beginning. */
START_TEST(an_error_in_reading_is_said)
{
    assert_refused("/proc/self/mem", IMAGES, "own memory");
    ck_assert_msg(strstr(vgg_message(), "cannot be read") != NULL, "%s", vgg_message());
}
END_TEST

static bool no_memory_to_inflate;

int __real_inflate(z_stream *stream, int flush);
int __wrap_inflate(z_stream *stream, int flush);
int __wrap_inflate(z_stream *stream, int flush) { return no_memory_to_inflate ? Z_MEM_ERROR : __real_inflate(stream, flush); }

/* Nothing is wrong with the file. */
START_TEST(no_memory_to_unpack_is_no_damage)
{
    const char *path = path_in(folder, "images.gz");
    byte_buffer plain = good_images(), packed = gzip_bytes(plain.bytes, plain.count), content;
    file_write(path, packed.bytes, packed.count);
    no_memory_to_inflate = true;
    ck_assert_int_eq(read_all(path, IMAGES, &content), VGG_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "images.gz: no memory"));
    no_memory_to_inflate = false;
    ck_assert_int_eq(read_all(path, IMAGES, &content), VGG_OK);
    free(plain.bytes), free(packed.bytes), free(content.bytes);
}
END_TEST

START_TEST(a_file_without_permission_is_refused)
{
    const char *path = path_in(folder, "secret");
    byte_buffer file = good_images();
    file_write(path, file.bytes, file.count);
    free(file.bytes);
    ck_assert_int_eq(chmod(path, 0), 0);
    if (access(path, R_OK) == 0) return; /* root may read all */
    assert_refused(path, IMAGES, "mode 000");
}
END_TEST

/* A few kilobytes that would unpack to 64 MiB: only what the header announces is unpacked, and one byte. */
START_TEST(a_bomb_is_not_unpacked)
{
    const size_t bomb_bytes = 64 << 20;
    byte_buffer plain = {calloc(bomb_bytes, 1), bomb_bytes}, header = idx_make((const uint32_t[]){0x803, 2, 8, 8}, 4, 0);
    memcpy(plain.bytes, header.bytes, header.count);
    byte_buffer packed = gzip_bytes(plain.bytes, plain.count);
    free(plain.bytes);
    free(header.bytes);
    const char *path = path_in(folder, "bomb.gz");
    file_write(path, packed.bytes, packed.count);
    free(packed.bytes);
    size_t before = cpu_memory_peak_bytes();
    assert_refused(path, IMAGES, "bomb");
    ck_assert_ptr_nonnull(strstr(vgg_message(), "goes on after the 144 bytes"));
    ck_assert_uint_lt(cpu_memory_peak_bytes(), before + (4 << 20));
}
END_TEST

/* Before anybody takes memory for it. */
START_TEST(a_huge_claim_in_a_small_gzip_file_is_refused_by_its_header)
{
    byte_buffer plain = idx_make((const uint32_t[]){0x803, IDX_MAX_COUNT, 32, 32}, 4, 1000);
    byte_buffer packed = gzip_bytes(plain.bytes, plain.count);
    const char *path = path_in(folder, "claim.gz");
    idx_header header;
    file_write(path, packed.bytes, packed.count);
    ck_assert_int_eq(idx_read_image_header(path, &header), VGG_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "bytes of gzip data"));
    free(packed.bytes);
    free(plain.bytes);
}
END_TEST

START_TEST(a_label_above_nine_is_refused)
{
    static const uint8_t wrong[] = {10, 11, 128, 255};
    const char *path = path_in(folder, "labels");
    for (size_t i = 0; i < sizeof wrong; i++) {
        byte_buffer file = idx_make((const uint32_t[]){0x801, 5}, 2, 5);
        file.bytes[8 + i] = wrong[i];
        file_write(path, file.bytes, file.count);
        assert_refused(path, LABELS, "label above 9");
        ck_assert_ptr_nonnull(strstr(vgg_message(), "labels are 0 to 9"));
        free(file.bytes);
    }
}
END_TEST

START_TEST(good_files_are_read_in_any_range)
{
    byte_buffer plain = good_images(), packed = packed_images();
    for (int gzipped = 0; gzipped < 2; gzipped++) {
        const char *path = path_in(folder, "good");
        file_write(path, gzipped ? packed.bytes : plain.bytes, gzipped ? packed.count : plain.count);
        idx_header header;
        ck_assert_int_eq(idx_read_image_header(path, &header), VGG_OK);
        ck_assert(header.count == 5 && header.rows == 3 && header.columns == 4);
        for (size_t first = 0; first <= 5; first++)
            for (size_t count = 0; count <= 5 - first; count++) {
                uint8_t images[61];
                images[12 * count] = 0xee;
                ck_assert_int_eq(idx_files_read_images(path, (vgg_range){first, count}, images), VGG_OK);
                ck_assert_mem_eq(images, plain.bytes + 16 + 12 * first, 12 * count);
                ck_assert_uint_eq(images[12 * count], 0xee);
            }
        uint8_t more[100];
        ck_assert_int_eq(idx_files_read_images(path, (vgg_range){3, 3}, more), VGG_BAD_DATA);
        ck_assert_int_eq(idx_files_read_images(path, (vgg_range){6, 0}, more), VGG_BAD_DATA);
        ck_assert_int_eq(idx_files_read_images(path, (vgg_range){1, SIZE_MAX}, more), VGG_BAD_DATA);
        ck_assert_ptr_nonnull(strstr(vgg_message(), "has 5 items"));
    }
    free(plain.bytes);
    free(packed.bytes);
}
END_TEST

START_TEST(a_gzip_file_of_several_members_is_one_file)
{
    byte_buffer plain = good_images(), content;
    const char *path = path_in(folder, "members.gz");
    for (size_t cut = 0; cut <= plain.count; cut++) {
        byte_buffer file = buffer_join(gzip_bytes(plain.bytes, cut), gzip_bytes(plain.bytes + cut, plain.count - cut));
        file_write(path, file.bytes, file.count);
        ck_assert_int_eq(read_all(path, IMAGES, &content), VGG_OK);
        ck_assert_mem_eq(content.bytes, plain.bytes + 16, 60);
        free(content.bytes);
        free(file.bytes);
    }
    free(plain.bytes);
}
END_TEST

/* The files in the tree, against the published checksums of their unpacked form. */
static const struct {
    const char *name, *md5;
    file_kind kind;
    uint32_t count;
} canonical[] = {
    {"train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", IMAGES, 60000},
    {"train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", LABELS, 60000},
    {"t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", IMAGES, 10000},
    {"t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", LABELS, 10000},
};
enum { CANONICAL = sizeof canonical / sizeof *canonical };

static void md5_of_file(const char *path, char md5[33])
{
    char command[4200];
    snprintf(command, sizeof command, "md5sum '%s'", path);
    FILE *output = popen(command, "r");
    ck_assert_ptr_nonnull(output);
    ck_assert_uint_eq(fread(md5, 1, 32, output), 32);
    md5[32] = '\0';
    pclose(output);
}

START_TEST(the_shipped_files_are_the_canonical_ones)
{
    char packed[4096], md5[33];
    snprintf(packed, sizeof packed, "%s/%s.gz", VGG_TEST_DATA, canonical[_i].name);
    byte_buffer content;
    ck_assert_msg(read_all(packed, canonical[_i].kind, &content) == VGG_OK, "%s", vgg_message());
    const uint32_t images[] = {0x803, canonical[_i].count, 28, 28}, labels[] = {0x801, canonical[_i].count};
    byte_buffer header = canonical[_i].kind == IMAGES ? idx_make(images, 4, 0) : idx_make(labels, 2, 0);
    byte_buffer file = buffer_join(header, content);
    const char *plain = path_in(folder, canonical[_i].name);
    file_write(plain, file.bytes, file.count);
    md5_of_file(plain, md5);
    ck_assert_str_eq(md5, canonical[_i].md5);
    byte_buffer again;
    ck_assert_int_eq(read_all(plain, canonical[_i].kind, &again), VGG_OK);
    ck_assert_uint_eq(again.count, file.count - (canonical[_i].kind == IMAGES ? 16 : 8));
    ck_assert(memcmp(again.bytes, file.bytes + file.count - again.count, again.count) == 0);
    free(again.bytes);
    free(file.bytes);
}
END_TEST

START_TEST(labels_have_the_known_histograms)
{
    static const uint32_t train[10] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
    static const uint32_t test[10] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    const char *const names[] = {"train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"};
    for (int split = 0; split < 2; split++) {
        byte_buffer content;
        uint32_t histogram[10] = {0};
        ck_assert_int_eq(read_all(path_in(VGG_TEST_DATA, names[split]), LABELS, &content), VGG_OK);
        for (size_t i = 0; i < content.count; i++) histogram[content.bytes[i]]++;
        ck_assert_mem_eq(histogram, split == 0 ? train : test, sizeof histogram);
        free(content.bytes);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idx");
    TCase *tests = tcase_create("idx");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, a_bad_file_is_refused, 0, BAD_FILES);
    tcase_add_loop_test(tests, a_spoiled_gzip_file_is_refused, 0, SPOILS);
    tcase_add_test(tests, zeros_after_gzip_data_are_passed_over);
    tcase_add_loop_test(tests, what_a_download_left_instead_is_said, 0, sizeof strange_texts / sizeof *strange_texts);
    tcase_add_test(tests, a_gzip_file_cut_anywhere_is_refused);
    tcase_add_test(tests, an_error_in_reading_is_said);
    tcase_add_test(tests, no_memory_to_unpack_is_no_damage);
    tcase_add_test(tests, no_flipped_bit_gives_wrong_pixels);
    tcase_add_test(tests, what_is_not_a_regular_file_is_refused_at_once);
    tcase_add_test(tests, a_file_without_permission_is_refused);
    tcase_add_test(tests, a_bomb_is_not_unpacked);
    tcase_add_test(tests, a_huge_claim_in_a_small_gzip_file_is_refused_by_its_header);
    tcase_add_test(tests, a_label_above_nine_is_refused);
    tcase_add_test(tests, good_files_are_read_in_any_range);
    tcase_add_test(tests, a_gzip_file_of_several_members_is_one_file);
    tcase_add_loop_test(tests, the_shipped_files_are_the_canonical_ones, 0, CANONICAL);
    tcase_add_test(tests, labels_have_the_known_histograms);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
