"""The demo org: a small, stateful imitation of a Salesforce org on 127.0.0.1, for tests and for trying things out.

It imitates the parts of the REST API that concern Bulk API jobs, over real HTTP and in Salesforce's own words: sign-in,
the signed-in user, both job listings and their pages, single jobs, the results of loads, the limits, and a little SOQL
with paging; of the Classic API, the details of a job, its batches and their results.
Jobs are added, moved, edited and deleted through control methods (`DemoOrg`, or `/_control/...` over HTTP), or by a
realistic simulation (`Life`).
Everything is in memory and the same on every run: fixed seed, simulated clock, no random ids.

*Limitations.* It does not run jobs: nothing is queried or loaded, and jobs cannot be created, closed or aborted through
the imitated API. What became of the records of a load is planted by control methods, and a Classic query has the ids
of its results, not the results. Only the Classic API sends XML. There is no SOAP, no `/tooling`, no OAuth flow other
than client credentials and JWT bearer, no scopes, no permissions beyond the switches of `DemoOrg`, no concurrency
limits. SOQL can only read `User` and `Organization`, by id. Details that no public source settles are our choice, and
marked as such. Its clock is UTC, sessions only expire on request, and its speed says nothing about a real org. It
listens on the loopback interface only and protects nothing.

    python -m pipelines.demo_org        serves an org with four weeks of history
"""
