// Does what a user of jsforce would, against the org at process.env.ORG; prints what it got as one JSON object.
const { createSign } = require('node:crypto');
const jsforce = require('jsforce');

const { ORG, CLIENT_ID, CLIENT_SECRET, TOKEN, PRIVATE_KEY, USERNAME, JOB, SOQL } = process.env;
const version = '68.0';
const oauth2 = { loginUrl: ORG, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET };
const connect = (more) => new jsforce.Connection({ instanceUrl: ORG, version, ...more });
const small = { 'Sforce-Query-Options': 'batchSize=200' }; // records of a page: the fewest there can be
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

async function listing(conn, filters) {
  const pages = [];
  let locator;
  do {
    const query = new URLSearchParams({ ...filters, ...(locator && { queryLocator: locator }) });
    const page = await conn.request(`/services/data/v${version}/jobs/query?${query}`);
    pages.push(page.records.map((job) => job.id));
    locator = page.done ? undefined : new URL(page.nextRecordsUrl, ORG).searchParams.get('queryLocator');
  } while (locator);
  return pages;
}

async function refused(promise) {
  try {
    return { answered: await promise };
  } catch (error) {
    return { name: error.name, errorCode: error.errorCode, message: error.message };
  }
}

async function users(conn) {
  const pages = [];
  let page = await conn.query(SOQL, { headers: small });
  for (;;) {
    pages.push(page.records.map((user) => user.Id));
    if (page.done) return { total: page.totalSize, pages };
    page = await conn.queryMore(page.nextRecordsUrl, { headers: small });
  }
}

async function main() {
  const byCredentials = connect({ oauth2 });
  const signedIn = await byCredentials.authorize({ grant_type: 'client_credentials' });

  const expires = Math.floor(Date.now() / 1000) + 180;
  const claims = { iss: CLIENT_ID, sub: USERNAME, aud: 'https://login.salesforce.com', exp: expires };
  const unsigned = `${encoded({ alg: 'RS256' })}.${encoded(claims)}`;
  const assertion = `${unsigned}.${createSign('RSA-SHA256').update(unsigned).sign(PRIVATE_KEY, 'base64url')}`;
  const byKey = connect({ oauth2 });
  const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
  const signedInByKey = await byKey.authorize({ grant_type: grant, assertion });

  const conn = connect({ accessToken: TOKEN });
  const got = {
    signedIn,
    signedInByKey,
    identities: [await byCredentials.identity(), await byKey.identity(), await conn.identity()],
    userinfo: await conn.request('/services/oauth2/userinfo'),
    listing: await listing(conn, {}),
    filtered: await listing(byKey, { jobType: 'V2Query', isPkChunkingEnabled: 'false', concurrencyMode: 'Parallel' }),
    job: await conn.bulk2.job('query', { id: JOB }).check(),
    limits: await conn.limits(),
    usage: conn.limitInfo,
    users: await users(conn),
    fetched: (await conn.query(SOQL, { autoFetch: true, maxFetch: 10000, headers: small })).records.length,
  };
  got.refused = {
    noSuchJob: await refused(conn.request(`/services/data/v${version}/jobs/query/750000000000000AAA`)),
    noSuchType: await refused(conn.request(`/services/data/v${version}/jobs/query?jobType=Nonsense`)),
    noSuchObject: await refused(conn.query('SELECT Id FROM Nothing')),
    noSuchClient: await refused(
      connect({ oauth2: { ...oauth2, clientSecret: 'wrong' } }).authorize({ grant_type: 'client_credentials' }),
    ),
  };
  const { accessToken } = byCredentials;
  await byCredentials.logout();
  got.refused.loggedOut = await refused(connect({ accessToken }).limits());
  return got;
}

main().then((got) => console.log(JSON.stringify(got)));
