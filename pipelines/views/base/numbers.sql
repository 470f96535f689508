-- One row per whole number from 0 to 99,999: other views use it to count hours, days and weeks in any SQL dialect.
--
--  n  INTEGER  the number
--
-- unique: n
with digits as (
    select 0 as d
    union all select 1
    union all select 2
    union all select 3
    union all select 4
    union all select 5
    union all select 6
    union all select 7
    union all select 8
    union all select 9
)
select ones.d + 10 * tens.d + 100 * hundreds.d + 1000 * thousands.d + 10000 * myriads.d as n
from digits as ones
cross join digits as tens
cross join digits as hundreds
cross join digits as thousands
cross join digits as myriads
