// The fixed behaviour of bank.v1 from another language: Node.js, with the published proto/bank.proto alone.
//
// usage: node behaviours.mjs MODULES_DIR PROTO ADDRESS PREFIX
// Prints one line per behaviour and exits 1 at the first one that is not as promised. Account and
// transfer ids begin with PREFIX. 64-bit numbers are strings here, as JavaScript's own cannot hold them.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [modulesDir, proto, address, prefix] = process.argv.slice(2);
const require = createRequire(`${modulesDir}/`);
const grpc = require('@grpc/grpc-js');
const { loadSync } = require('@grpc/proto-loader');

const definition = loadSync(proto, { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true });
const { BankService } = grpc.loadPackageDefinition(definition).bank.v1;
const bank = new BankService(address, grpc.credentials.createInsecure());

const call = (method, request) =>
  new Promise((resolve, reject) => {
    const deadline = new Date(Date.now() + 20_000);
    bank[method](request, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
const id = (name) => ({ id: `${prefix}-${name}` });
const create = (account, initial_balance = '0') => call('CreateAccount', { account: id(account), initial_balance });
const balance = async (account) => (await call('GetBalance', { account: id(account) })).balance;
const transfer = (from, to, amount, tx) =>
  call('Transfer', { from: id(from), to: id(to), amount, client_tx_id: tx === undefined ? undefined : id(tx) });
const status = (tx) => call('GetTransferStatus', { client_tx_id: id(tx) });

const behaviours = {
  'a new account is created': async () => {
    const answer = await create('a', '100');
    assert.deepEqual([answer.success, answer.message], [true, 'Account created']);
  },
  'an account is created once, and its first balance stays': async () => {
    const answer = await create('a', '7');
    assert.deepEqual([answer.success, answer.message], [false, 'Account already exists']);
    assert.equal(await balance('a'), '100');
  },
  'a balance of zero is present': async () => {
    await create('b');
    const answer = await call('GetBalance', { account: id('b') });
    assert.equal(answer._balance, 'balance', 'the optional field is set');
    assert.equal(answer.balance, '0');
  },
  'an unknown account is not found': () => refused(balance('nobody'), 'NOT_FOUND', 'ACCOUNT_NOT_FOUND', `${prefix}-nobody`),
  'a funded transfer moves both balances': async () => {
    const answer = await transfer('a', 'b', '60', 't1');
    assert.deepEqual([answer.status, answer.message], ['COMMITTED_OK', 'Transfer committed']);
    assert.deepEqual([await balance('a'), await balance('b')], ['40', '60']);
  },
  'a transfer sent again is applied once': async () => {
    assert.equal((await transfer('a', 'b', '60', 't1')).status, 'COMMITTED_OK');
    assert.deepEqual([await balance('a'), await balance('b')], ['40', '60']);
  },
  'a transfer of an unknown account is recorded': async () => {
    const answer = await transfer('a', 'nobody', '1', 't2');
    assert.deepEqual([answer.status, answer.message], ['COMMITTED_INVALID_ACCOUNT', 'Invalid account']);
    assert.equal((await status('t2')).status, 'COMMITTED_INVALID_ACCOUNT');
  },
  'a transfer beyond the funds is recorded, and its id burned': async () => {
    const answer = await transfer('a', 'b', '41', 't3');
    assert.deepEqual([answer.status, answer.message], ['COMMITTED_INSUFFICIENT_FUNDS', 'Insufficient funds']);
    await transfer('b', 'a', '60', 't4');
    assert.equal((await transfer('a', 'b', '41', 't3')).status, 'COMMITTED_INSUFFICIENT_FUNDS');
    assert.equal(await balance('a'), '100');
  },
  'an unknown transfer is not found': () => refused(status('never'), 'NOT_FOUND', 'TRANSFER_NOT_FOUND', `${prefix}-never`),
  'amounts beyond 2^53 arrive exactly': async () => {
    await create('rich', '9007199254740993');
    assert.equal(await balance('rich'), '9007199254740993');
  },
  'an amount of zero is an invalid argument': () =>
    refused(transfer('a', 'b', '0', 't5'), 'INVALID_ARGUMENT', 'AMOUNT_NOT_POSITIVE', 'amount'),
  'a transfer without an id is an invalid argument': () =>
    refused(transfer('a', 'b', '1'), 'INVALID_ARGUMENT', 'CLIENT_TX_ID_MISSING', 'client_tx_id'),
  'an id with another amount already exists': () =>
    refused(transfer('a', 'b', '61', 't1'), 'ALREADY_EXISTS', 'ID_CONFLICT', 'amount'),
};

// The details are a serialized google.rpc.Status; its strings stand in it as they are.
async function refused(answer, code, reason, word) {
  const error = await answer.then(
    (value) => assert.fail(`not refused, but answered: ${JSON.stringify(value)}`),
    (found) => found,
  );
  assert.equal(grpc.status[error.code], code, error.message);
  assert.ok(error.details.includes(word), `"${word}" is not in "${error.details}"`);
  const details = error.metadata.get('grpc-status-details-bin')[0].toString('latin1');
  for (const part of ['type.googleapis.com/google.rpc.ErrorInfo', reason, 'bank.v1']) {
    assert.ok(details.includes(part), `${part} is not in the error details`);
  }
}

for (const [title, check] of Object.entries(behaviours)) {
  try {
    await check();
    console.log(`ok ${title}`);
  } catch (error) {
    console.log(`FAILED ${title}: ${error.message}`);
    process.exit(1);
  }
}
bank.close();
