#include "report/event_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vgg11/base/hash.h"

enum { HEADER_BYTES = 12, FOOTER_BYTES = 4, SCALAR_BYTES = EVENT_TAG_MAX + 16 };
enum { DATA_BYTES = 64 + EVENT_SCALARS_MAX * SCALAR_BYTES };

/* Protobuf's types of fields, and the fields of Event, Summary, Summary.Value and SessionLog that are written. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum {
    EVENT_WALL_TIME = 1,
    EVENT_STEP = 2,
    EVENT_FILE_VERSION = 3,
    EVENT_SUMMARY = 5,
    EVENT_SESSION_LOG = 7,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1,
    VALUE_SIMPLE_VALUE = 2,
    SESSION_STATUS = 1,
    SESSION_START = 1
};

/* A message in the making, in a buffer that is long enough for any that is made here. */
typedef struct {
    unsigned char bytes[HEADER_BYTES + DATA_BYTES + FOOTER_BYTES];
    size_t used;
} message;

static void put_byte(message *m, unsigned byte) { m->bytes[m->used++] = (unsigned char)byte; }

static void put_little_endian(message *m, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) put_byte(m, (unsigned)(value >> (8 * i)) & 255U);
}

static void put_key(message *m, int field, int type) { put_byte(m, (unsigned)(field << 3 | type)); }

static void put_varint(message *m, uint64_t value)
{
    for (; value > 127; value >>= 7) put_byte(m, (unsigned)(value & 127U) | 128U);
    put_byte(m, (unsigned)value);
}

static void put_double(message *m, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, FIXED64);
    put_little_endian(m, bits, 8);
}

static void put_float(message *m, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, FIXED32);
    put_little_endian(m, bits, 4);
}

static void put_bytes(message *m, int field, const void *data, size_t bytes)
{
    put_key(m, field, BYTES);
    put_varint(m, bytes);
    memcpy(m->bytes + m->used, data, bytes);
    m->used += bytes;
}

/* The start of an Event of this moment, behind room for the record's header. */
static void begin(message *m, uint64_t step)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    m->used = HEADER_BYTES;
    put_double(m, EVENT_WALL_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    put_key(m, EVENT_STEP, VARINT);
    put_varint(m, step);
}

/* A checksum of data that holds checksums is masked, as in LevelDB. */
static uint32_t masked_crc(const void *data, size_t bytes)
{
    uint32_t crc = hash_crc32c(0, data, bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

static void frame(message *m)
{
    size_t end = m->used, bytes = end - HEADER_BYTES;
    m->used = 0;
    put_little_endian(m, bytes, 8);
    put_little_endian(m, masked_crc(m->bytes, 8), 4);
    m->used = end;
    put_little_endian(m, masked_crc(m->bytes + HEADER_BYTES, bytes), 4);
}

/* At a fixed place rather than at the end: the next record then overwrites what a failed write left. */
static bool write_at(event_file *file, const message *m)
{
    for (size_t done = 0; done < m->used;) {
        ssize_t written = pwrite(file->descriptor, m->bytes + done, m->used - done, file->whole_bytes + (off_t)done);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        done += (size_t)written;
    }
    file->whole_bytes += (off_t)m->used;
    return true;
}

static void append(event_file *file, message *m)
{
    frame(m);
    if (!write_at(file, m) && file->lost++ == 0) file->first_error = errno;
}

vgg_status event_file_create(const char *path, event_file *file)
{
    static const char version[] = "brain.Event:2";
    message m;
    *file = (event_file){.descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666)};
    if (file->descriptor < 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be made", path);
    begin(&m, 0);
    put_bytes(&m, EVENT_FILE_VERSION, version, strlen(version));
    append(file, &m);
    return VGG_OK;
}

void event_file_scalars(event_file *file, uint64_t step, const event_scalar *scalars, int count)
{
    message m, summary = {.used = 0};
    for (int i = 0; i < count && i < EVENT_SCALARS_MAX; i++) {
        message value = {.used = 0};
        put_bytes(&value, VALUE_TAG, scalars[i].tag, strnlen(scalars[i].tag, EVENT_TAG_MAX));
        put_float(&value, VALUE_SIMPLE_VALUE, scalars[i].value);
        put_bytes(&summary, SUMMARY_VALUE, value.bytes, value.used);
    }
    begin(&m, step);
    put_bytes(&m, EVENT_SUMMARY, summary.bytes, summary.used);
    append(file, &m);
}

void event_file_restart(event_file *file, uint64_t step)
{
    message m, session = {.used = 0};
    put_key(&session, SESSION_STATUS, VARINT);
    put_varint(&session, SESSION_START);
    begin(&m, step);
    put_bytes(&m, EVENT_SESSION_LOG, session.bytes, session.used);
    append(file, &m);
}

void event_file_close(event_file *file)
{
    if (file->lost && ftruncate(file->descriptor, file->whole_bytes) != 0 && file->first_error == 0) file->first_error = errno;
    if (close(file->descriptor) != 0 && file->first_error == 0) file->first_error = errno;
}
