"""What can happen to an org, and to a load, as drawn by hypothesis."""

from hypothesis import strategies as st

STATES = ("UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted", "Open", "Closed")
RAW = (None, 7, {"id": None}, {"id": "750R", "state": "Open"}, {"id": "  ", "systemModstamp": "never"}, [], {})

number = st.integers(0, 99)
change = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(["V2Query", "Classic"]), st.booleans()),
    st.tuples(
        st.just("move"), number, st.sampled_from(STATES), st.sampled_from(["moves", "stands still", "late", "back"])
    ),
    st.tuples(
        st.just("edit"), number, st.sampled_from(["object", "apiVersion"]), st.sampled_from([51.0, 52.0, "53.0"])
    ),
    st.tuples(st.just("delete"), number),
    st.tuples(st.just("raw"), st.sampled_from(RAW)),
    st.tuples(st.just("lose locators")),
    st.tuples(st.just("advance"), st.integers(1, 300)),  # within one listing at most an hour,
)
fault = st.one_of(
    st.none(),
    st.tuples(
        st.just("refuse"), st.sampled_from([401, 403, 404, 429, 500, 503]), st.integers(1, 7), st.integers(0, 12)
    ),
    st.tuples(st.just("garbage"), st.sampled_from([b"<html>", b"[]", b'{"done": false, "records": []}']), st.integers(0, 9)),
    st.tuples(st.just("cut"), st.integers(1, 7), st.integers(0, 12)),
    st.tuples(
        st.just("crash"),
        st.sampled_from(["sync_destination", "extract", "normalize", "load", "complete_tables", "refresh_spans", "apply_views", "publish"]),
        st.booleans(),
    ),
    st.tuples(st.just("statement"), st.integers(1, 60), st.booleans()),
)  # fmt: skip
