"""What Schemathesis asks of every answer, wherever it is let loose."""

#: Those that ask for what is documented and answered. The check of what is invalid is ours, see `fuzz_hooks`. No header is
#: required but Authorization, which `ignored_auth` is about.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "positive_data_acceptance",
    "invalid_is_refused",
    "unsupported_method",
    "ignored_auth",
)
