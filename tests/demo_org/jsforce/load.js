// Loads contacts as a user of jsforce would, through both bulk APIs; prints what it got as one JSON object.
const jsforce = require('jsforce');

const { ORG, TOKEN, CONTACTS } = process.env;
const conn = new jsforce.Connection({ instanceUrl: ORG, version: '68.0', accessToken: TOKEN });
conn.bulk.pollInterval = 50;
conn.bulk2.pollInterval = 50;
const contacts = JSON.parse(CONTACTS);

async function refused(promise) {
  try {
    return { answered: await promise };
  } catch (error) {
    return { name: error.name, errorCode: error.errorCode, message: error.message };
  }
}

async function bulk2() {
  const all = await conn.bulk2.loadAndWaitForResults({
    object: 'Contact', operation: 'upsert', externalIdFieldName: 'Key__c', input: contacts,
    pollInterval: 50, pollTimeout: 10000,
  });
  const job = conn.bulk2.createJob({ object: 'Contact', operation: 'insert' });
  await job.open();
  const opened = job.getInfo();
  await job.uploadData(contacts);
  await job.close();
  const closed = job.getInfo();
  await job.poll(50, 10000);
  const done = await job.check();
  const raw = await job.getFailedResults(true);
  const aborted = conn.bulk2.createJob({ object: 'Contact', operation: 'insert' });
  await aborted.open();
  await aborted.uploadData(contacts);
  await aborted.abort();
  const gone = conn.bulk2.createJob({ object: 'Contact', operation: 'insert' });
  await gone.open();
  await gone.uploadData('Key__c\nX');
  await gone.close();
  await gone.delete();
  const failed = conn.bulk2.createJob({ object: 'Contact', operation: 'insert' });
  failed.on('error', () => {});
  await failed.open();
  await failed.uploadData('LastName,Gone__c\nA,1\n');
  await failed.close();
  return {
    all, opened, closed, done, raw,
    aborted: { id: aborted.id, left: await aborted.getUnprocessedRecords() },
    gone: { id: gone.id, error: await refused(conn.bulk2.job('ingest', { id: gone.id }).check()) },
    failed: { id: failed.id, error: await refused(failed.poll(50, 10000)) },
    twice: await refused(failed.abort()),
  };
}

async function classic() {
  const results = await conn.bulk.load('Contact', 'insert', contacts);
  const job = conn.bulk.createJob('Contact', 'upsert', { extIdField: 'Key__c', concurrencyMode: 'Serial' });
  const batch = job.createBatch();
  const upserted = await new Promise((resolve, reject) => {
    batch.on('error', reject);
    batch.on('queue', () => batch.poll(50, 10000));
    batch.on('response', resolve);
    batch.execute(contacts);
  });
  const id = job.id;
  const info = await job.check();
  const batches = await job.list();
  const closed = await job.close();
  return { results, upserted, id, info, batches, closed, again: await refused(conn.bulk.job(id).abort()) };
}

Promise.all([bulk2(), classic()]).then(
  ([two, one]) => console.log(JSON.stringify({ bulk2: two, classic: one })),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
