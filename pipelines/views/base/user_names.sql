-- One row per org and user: the user's display name, unique within the org.
--
--  org_id  VARCHAR  the org
--  id      VARCHAR  the user (005…)
--  name    VARCHAR  full name, followed by the username in brackets, or by the id, if the org has several users of that name; the id if the name is not known
--
-- unique: org_id, id
with counted as (
    select
        org_id,
        id,
        name,
        username,
        count(*) over (partition by org_id, name) as namesakes,
        count(*) over (partition by org_id, name, username) as twins
    from salesforce.users
)
select
    org_id,
    id,
    case
        when name is null then id
        when namesakes = 1 then name
        else name || ' (' || case when twins = 1 then coalesce(username, id) else id end || ')'
    end as name
from counted
