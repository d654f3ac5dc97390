#include "report/html.h"
#include "report/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MOST = 4, REAL_DIGITS = 9 };

#define UNREADABLE "\xef\xbf\xbd" /* U+FFFD */

static const char *entity_of(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

void html_text(FILE *out, const char *text)
{
    bool readable = text_is_utf8(text);
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        bool shown = c >= 0x80 ? readable : (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t';
        const char *entity = shown ? entity_of(*at) : UNREADABLE;
        if (entity)
            fputs(entity, out);
        else
            putc(*at, out);
    }
}

static void print_value(FILE *out, const json_t *value, int depth);

static void print_object(FILE *out, json_t *object, int depth)
{
    const char *key;
    json_t *member;
    fputs("<table class=\"facts\">\n", out);
    json_object_foreach(object, key, member)
    {
        fputs("<tr><th scope=\"row\">", out);
        html_text(out, key);
        fputs("</th><td>", out);
        print_value(out, member, depth + 1);
        fputs("</td></tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void print_array(FILE *out, const json_t *array, int depth)
{
    size_t i;
    json_t *member;
    json_array_foreach(array, i, member)
    {
        if (i > 0) putc(' ', out);
        print_value(out, member, depth + 1);
    }
}

/* As it stands in the file: numbers, and what is nested deeper than is good to read. */
static void print_dump(FILE *out, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
    if (text) html_text(out, text);
    free(text);
}

static void print_value(FILE *out, const json_t *value, int depth)
{
    if (json_is_string(value))
        html_text(out, json_string_value(value));
    else if (json_is_object(value) && depth < DEPTH_MOST)
        print_object(out, (json_t *)value, depth);
    else if (json_is_array(value) && depth < DEPTH_MOST)
        print_array(out, value, depth);
    else
        print_dump(out, value);
}

void html_json(FILE *out, const json_t *value) { print_value(out, value, 0); }
