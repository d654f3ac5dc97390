#include "data/byte_stream.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "vgg11/base/file.h"

enum {
    INPUT_BYTES = 128 * 1024,
    GZIP_WINDOW_BITS = 15 + 16, /* zlib: largest window, gzip wrapping only */
    DEFLATE_MAX_RATIO = 1032,   /* zlib's technical notes: no deflate stream expands further */
};

struct byte_stream {
    const char *path;
    int file;
    uint64_t file_bytes;
    uint64_t content_bytes; /* handed out so far */
    bool gzipped;
    bool member_open; /* within a gzip member: header read, trailer not yet */
    z_stream inflater;
    unsigned char input[INPUT_BYTES]; /* read but not used: inflater.next_in, avail_in, for a plain file too */
};

static vgg_status damaged(const byte_stream *stream, const char *what)
{
    return vgg_fail(VGG_BAD_DATA, "%s: %s; get a fresh copy of the file", stream->path, what);
}

static vgg_status open_regular(byte_stream *stream)
{
    struct stat facts;
    stream->file = -1;
    if (file_open_to_read(stream->path, &stream->file) != VGG_OK) return vgg_fail(VGG_BAD_DATA, "%s", vgg_message());
    if (fstat(stream->file, &facts) != 0) return vgg_fail_errno(VGG_BAD_DATA, "%s: cannot be examined", stream->path);
    stream->file_bytes = (uint64_t)facts.st_size;
    return VGG_OK;
}

/* Reads from the file into target; *got is less than `bytes` at its end only. */
static vgg_status read_file(const byte_stream *stream, void *target, size_t bytes, size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        ssize_t count = read(stream->file, (char *)target + *got, bytes - *got);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return vgg_fail_errno(VGG_BAD_DATA, "%s: cannot be read", stream->path);
        if (count == 0) break;
        *got += (size_t)count;
    }
    return VGG_OK;
}

/* Makes input available unless some is left or the file has ended. */
static vgg_status refill(byte_stream *stream)
{
    if (stream->inflater.avail_in > 0) return VGG_OK;
    size_t got;
    VGG_TRY(read_file(stream, stream->input, sizeof stream->input, &got));
    stream->inflater.next_in = stream->input;
    stream->inflater.avail_in = (unsigned)got;
    return VGG_OK;
}

static vgg_status detect_gzip(byte_stream *stream)
{
    VGG_TRY(refill(stream));
    stream->gzipped = stream->inflater.avail_in >= 2 && stream->input[0] == 0x1f && stream->input[1] == 0x8b;
    stream->member_open = stream->gzipped;
    if (stream->gzipped && inflateInit2(&stream->inflater, GZIP_WINDOW_BITS) != Z_OK)
        return vgg_fail(VGG_UNAVAILABLE, "%s: no memory to unpack it", stream->path);
    return VGG_OK;
}

vgg_status stream_open(const char *path, byte_stream **out)
{
    *out = NULL;
    byte_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return vgg_fail(VGG_UNAVAILABLE, "%s: no memory to read it", path);
    stream->path = path;
    vgg_status status = open_regular(stream);
    if (status == VGG_OK) status = detect_gzip(stream);
    if (status == VGG_OK)
        *out = stream;
    else
        stream_close(stream);
    return status;
}

void stream_close(byte_stream *stream)
{
    if (!stream) return;
    inflateEnd(&stream->inflater);
    if (stream->file >= 0) close(stream->file);
    free(stream);
}

static vgg_status inflate_error(const byte_stream *stream, int code)
{
    if (code == Z_MEM_ERROR) return vgg_fail(VGG_UNAVAILABLE, "%s: no memory to unpack it", stream->path);
    const char *reason = stream->inflater.msg ? stream->inflater.msg : "it needs a preset dictionary";
    return vgg_fail(VGG_BAD_DATA, "%s: the gzip data is damaged (%s); get a fresh copy of the file", stream->path, reason);
}

/* Passes over zeros, to which some tools and media fill a file up, as gzip does. */
static vgg_status skip_padding(byte_stream *stream)
{
    z_stream *ahead = &stream->inflater;
    for (;;) {
        VGG_TRY(refill(stream));
        if (ahead->avail_in == 0 || *ahead->next_in != 0) return VGG_OK;
        for (; ahead->avail_in > 0 && *ahead->next_in == 0; ahead->next_in++) ahead->avail_in--;
    }
}

/* After a member's trailer: another member may follow (RFC 1952, 2.2), or zeros, and nothing else. */
static vgg_status next_member(byte_stream *stream)
{
    VGG_TRY(skip_padding(stream));
    if (stream->inflater.avail_in == 0) return VGG_OK;
    if (*stream->inflater.next_in != 0x1f) return damaged(stream, "bytes follow the end of the gzip data");
    inflateReset(&stream->inflater);
    stream->member_open = true;
    return VGG_OK;
}

/* Unpacks into target; *got is less than `bytes` only where the last member has ended with its checksum verified. */
static vgg_status unpack(byte_stream *stream, void *target, size_t bytes, size_t *got)
{
    z_stream *inflater = &stream->inflater;
    inflater->next_out = target;
    inflater->avail_out = (unsigned)bytes;
    while (inflater->avail_out > 0 && stream->member_open) {
        VGG_TRY(refill(stream));
        if (inflater->avail_in == 0) return damaged(stream, "the gzip data is cut off");
        int code = inflate(inflater, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END) return inflate_error(stream, code);
        stream->member_open = code == Z_OK;
        if (!stream->member_open) VGG_TRY(next_member(stream));
    }
    *got = bytes - inflater->avail_out;
    return VGG_OK;
}

/* Bytes of a plain file: first those read ahead, then the file's own. */
static vgg_status copy_plain(byte_stream *stream, void *target, size_t bytes, size_t *got)
{
    z_stream *ahead = &stream->inflater;
    unsigned held = bytes < ahead->avail_in ? (unsigned)bytes : ahead->avail_in;
    memcpy(target, ahead->next_in, held);
    ahead->next_in += held;
    ahead->avail_in -= held;
    VGG_TRY(read_file(stream, (char *)target + held, bytes - held, got));
    *got += held;
    return VGG_OK;
}

static vgg_status take(byte_stream *stream, void *target, size_t bytes, size_t *got)
{
    VGG_TRY((stream->gzipped ? unpack : copy_plain)(stream, target, bytes, got));
    stream->content_bytes += *got;
    return VGG_OK;
}

vgg_status stream_read(byte_stream *stream, void *target, size_t bytes)
{
    enum { PIECE_BYTES = 1 << 30 }; /* zlib counts in unsigned int */
    for (size_t done = 0, got; done < bytes; done += got) {
        size_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
        VGG_TRY(take(stream, (char *)target + done, piece, &got));
        if (got < piece)
            return vgg_fail(VGG_BAD_DATA, "%s: ends after %llu bytes, at least %llu are wanted; get a fresh copy of the file",
                            stream->path, (unsigned long long)stream->content_bytes,
                            (unsigned long long)(stream->content_bytes + bytes - done - got));
    }
    return VGG_OK;
}

vgg_status stream_skip(byte_stream *stream, uint64_t bytes)
{
    unsigned char dropped[32 * 1024];
    while (bytes > 0) {
        size_t piece = bytes < sizeof dropped ? (size_t)bytes : sizeof dropped;
        VGG_TRY(stream_read(stream, dropped, piece));
        bytes -= piece;
    }
    return VGG_OK;
}

vgg_status stream_expect_end(byte_stream *stream)
{
    unsigned char more;
    size_t got = 0;
    uint64_t before = stream->content_bytes;
    VGG_TRY(take(stream, &more, 1, &got));
    if (got == 0) return VGG_OK;
    return vgg_fail(VGG_BAD_DATA, "%s: goes on after the %llu bytes that its header announces; get a fresh copy of the file",
                    stream->path, (unsigned long long)before);
}

vgg_status stream_check_size(const byte_stream *stream, uint64_t bytes)
{
    if (stream->gzipped ? bytes / DEFLATE_MAX_RATIO <= stream->file_bytes : bytes == stream->file_bytes) return VGG_OK;
    return vgg_fail(VGG_BAD_DATA, "%s: has %llu bytes%s, but its header announces %llu; get a fresh copy of the file", stream->path,
                    (unsigned long long)stream->file_bytes, stream->gzipped ? " of gzip data" : "", (unsigned long long)bytes);
}
