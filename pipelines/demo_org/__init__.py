"""The demo org: a small, stateful imitation of a Salesforce org on 127.0.0.1, for tests and for trying things out.

It imitates the parts of the REST API that concern Bulk query jobs, over real HTTP and in Salesforce's own words:
sign-in, the signed-in user, the job listings and their pages, single jobs (also through the Classic API), the limits,
and a little SOQL with paging.
Jobs are added, moved, edited and deleted through control methods (`DemoOrg`, or `/_control/...` over HTTP), or by a
realistic simulation (`Life`).
Everything is in memory and the same on every run: fixed seed, simulated clock, no random ids.

*Limitations.* It does not run jobs: nothing is queried, loaded or returned as a result, and jobs cannot be created,
closed or aborted through the imitated API. Of the Classic API it only has `GET /services/async/{version}/job/{id}`, and
only this sends XML. There is no SOAP, no `/tooling`, no OAuth flow other than client credentials and JWT bearer, no
scopes, no permissions beyond the switches of `DemoOrg`, no concurrency limits. SOQL can only read `User` and
`Organization`, by id. Details that no public source settles are our choice, and marked as such. Its clock is UTC,
sessions only expire on request, and its speed says nothing about a real org. It listens on the loopback interface only
and protects nothing.

    python -m pipelines.demo_org        serves an org with four weeks of history
"""
