/* Private to report: how a run's page looks. */
#ifndef VGG11_REPORT_HTML_STYLE_H
#define VGG11_REPORT_HTML_STYLE_H

/* The style sheet, for light and dark screens and for paper. */
extern const char html_style[];

#endif
