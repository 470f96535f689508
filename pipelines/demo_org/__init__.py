"""The demo org: a small Salesforce org on 127.0.0.1 that keeps state, for tests and for a first try.

It speaks the parts of the REST API that deal with Bulk query jobs, over real HTTP, in Salesforce's own words:
sign-in, who is signed in, the job listings and their pages, one job (through the Classic API as well), the limits,
a little SOQL with its pages.
Jobs are added, moved, edited and deleted through its control methods (`DemoOrg`, or `/_control/...` over HTTP),
or by a believable life (`Life`).
Everything is in memory and the same on every run: fixed seed, own clock, no random ids.

*Limitations.* It runs no jobs: nothing is queried, loaded or returned as results, and jobs are not created,
closed or aborted through the imitated API. Of the Classic API there is `GET /services/async/{version}/job/{id}`
alone, and XML nowhere else. There is no SOAP, no `/tooling`, no other OAuth flow than client credentials and
JWT bearer, no scopes, no permissions beyond the switches of `DemoOrg`, no concurrency limits. SOQL reads `User`
and `Organization` only, by id. Details that no public source settles are choices, and say so where they are
made. Its clock is UTC, sessions end only when told to, and it is no measure of how fast a real org answers. It
binds the loopback interface and protects nothing.

    python -m pipelines.demo_org        serves an org with some weeks of life behind it
"""
