import { Button } from '@mantine/core';
import { PickChip } from '../trigger/Chip';
import { put } from '../trigger/spec';
import { Segments } from '../ui/Segments';
import ui from '../ui/ui.module.css';
import { canonical, languageOf, languages, type Spec, textIn, without } from './spec';
import css from './template.module.css';

/** The languages that something is said in: which text is edited, its language, and another one. */
export function Languages(props: {
  spec: Spec;
  change: (spec: Spec) => void;
  /** The language of the text that is edited, '' for that for everybody. */
  locale: string;
  setLocale: (locale: string) => void;
  readOnly: boolean;
}) {
  const { spec, change, setLocale, readOnly } = props;
  const here = spec.locales?.[props.locale] ? props.locale : '';
  return (
    <div className={css.languages}>
      {spec.locales && (
        <Segments
          size="xs"
          aria-label="Text for readers of"
          value={here}
          onChange={setLocale}
          data={[
            { value: '', label: 'Everybody else' },
            ...Object.keys(spec.locales).map((value) => ({ value, label: languageOf(value) })),
          ]}
        />
      )}
      {here === '' ? (
        <>
          <span>Its text is in</span>
          <PickChip
            what="Language"
            value={spec.locale ?? ''}
            label={spec.locale ? languageOf(spec.locale) : undefined}
            placeholder="pick its language"
            search="Search, or type a tag such as en-GB"
            options={languages.map((value) => ({ value, label: languageOf(value), hint: value }))}
            create={(tag) => languageOf(canonical(tag))}
            set={(tag) => change(put(spec, 'locale', canonical(tag)))}
            readOnly={readOnly}
          />
        </>
      ) : (
        <>
          <span className={ui.muted}>
            {languageOf(here)} ({here}); what stays empty is taken from the text for everybody.
          </span>
          {!readOnly && (
            <Button
              size="compact-xs"
              variant="default"
              onClick={() => {
                change(without(spec, here));
                setLocale('');
              }}
            >
              Remove this language
            </Button>
          )}
        </>
      )}
      {!readOnly && (
        <PickChip
          what="Another language"
          value=""
          label="+ Another language"
          placeholder="+ Another language"
          search="Search, or type a tag such as de-AT"
          options={languages
            .filter((l) => l !== spec.locale && !spec.locales?.[l])
            .map((value) => ({ value, label: languageOf(value), hint: value }))}
          create={(tag) => `Readers of ${languageOf(canonical(tag))}`}
          set={(tag) => {
            const added = canonical(tag);
            change({ ...spec, locales: { ...spec.locales, [added]: textIn(spec, added) } });
            setLocale(added);
          }}
          readOnly={false}
        />
      )}
    </div>
  );
}
