/* Private to report: text in HTML and SVG. */
#ifndef VGG11_REPORT_HTML_H
#define VGG11_REPORT_HTML_H

#include <jansson.h>
#include <stdio.h>

/* The text as it is to be read, whatever it holds: no part of it becomes markup. What is not UTF-8, and control characters, become a sign
 * that stands for what cannot be shown. */
void html_text(FILE *out, const char *text);

/* A JSON value for people: an object as a table of two columns, a list as its members with spaces between, a text as it is. */
void html_json(FILE *out, const json_t *value);

#endif
