"""The demo org: a small, stateful imitation of a Salesforce org on 127.0.0.1, for tests and for trying things out.

It imitates the parts of the REST API that concern Bulk API jobs, over real HTTP and in Salesforce's own words: sign-in,
the signed-in user, both job listings and their pages, single jobs, loads and their results, the limits, and a little
SOQL with paging; of the Classic API, jobs, their batches and results.
Jobs are added, moved, edited and deleted through control methods (`DemoOrg`, or `/_control/...` over HTTP), or by a
realistic simulation (`Life`); loads can also be made through the API.
Everything is in memory and the same on every run: fixed seed, simulated clock, no random ids.

*Limitations.* It keeps no records: a load is checked by a few rules (`record_rules.py`) and forgotten, and takes no
time. Queries cannot be created, and have no results; a Classic one has the ids of results, and if a client creates it,
its batches fail. No multipart upload, no zipped batches, no PK chunking on request. Only the Classic API sends XML.
There is no SOAP, no `/tooling`, no OAuth flow other than client credentials and JWT bearer, no scopes, no permissions
beyond the switches of `DemoOrg`, no concurrency limits. SOQL can only read `User` and `Organization`, by id. Details
that no public source settles are our choice, and marked as such. Its clock is UTC, sessions only expire on request, and
its speed says nothing about a real org. It listens on the loopback interface only and protects nothing.

    python -m pipelines.demo_org        serves an org with four weeks of history
"""
