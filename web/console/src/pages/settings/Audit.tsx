import { useAudit } from '../../api/queries';
import { sentence } from '../../format/words';
import { CsvButton } from '../../ui/CsvButton';
import { Card } from '../../ui/Page';
import rows from '../../ui/rows.module.css';
import { Failure, Loading } from '../../ui/states';
import { At } from '../../ui/time';
import css from '../../ui/ui.module.css';

const words: Record<string, string> = {
  login: 'signed in',
  login_failed: 'failed to sign in',
  logout: 'signed out',
  setup: 'set Heed up',
  apply: 'changed definitions',
  delete: 'deleted',
  token_made: 'made a token',
  token_revoked: 'revoked a token',
  member_saved: 'saved a member',
  member_removed: 'removed a member',
  export: 'exported events',
  crowd: 'switched the simulated shoppers',
  'load sample shop': 'loaded the sample shop',
  sending: 'switched all sending',
  include: 'started it for those already in its audience',
  upload: 'uploaded a file',
  import: 'ran an import',
  cancel: 'cancelled or removed an import',
  suppress: 'took an address out',
  unsuppress: 'took an address back',
  sample: 'read sample messages',
};

export function Audit() {
  const audit = useAudit(true);
  const { data } = audit;
  return (
    <Card
      title="Who did what"
      flush
      aside={
        data && (
          <span className={css.meta}>
            <span className={css.asOf}>the newest {data.entries.length}</span>
            <CsvButton
              name="audit"
              head={['at', 'who', 'what', 'subject', 'detail', 'address']}
              disabled={data.entries.length === 0}
              rows={() =>
                data.entries.map((e) => [e.at, e.who, e.what, e.subject, e.detail, e.address])
              }
            />
          </span>
        )
      }
    >
      {audit.error && !data ? (
        <Failure error={audit.error} retry={audit.refetch} />
      ) : !data ? (
        <Loading />
      ) : data.entries.length === 0 ? (
        <p className={css.none}>Nothing has been recorded yet.</p>
      ) : (
        <ul className={rows.rows}>
          {data.entries.map((entry, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: entries have no id, and two can be alike
            <li key={`${entry.at} ${i}`} className={rows.row}>
              <div className={rows.item}>
                <span className={rows.itemText}>
                  <b>{entry.who}</b>{' '}
                  {words[entry.what] ?? sentence(entry.what.replaceAll('_', ' '))}
                  {entry.subject && `: ${entry.subject}`}
                  {(entry.detail || entry.address) && (
                    <span className={rows.itemHint} style={{ display: 'block' }}>
                      {[entry.detail, entry.address && `from ${entry.address}`]
                        .filter(Boolean)
                        .join(' · ')}
                    </span>
                  )}
                </span>
                <span className={css.asOf}>
                  <At at={entry.at} />
                </span>
              </div>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
