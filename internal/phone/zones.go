package phone

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Zones names the time zones that the owner of a number in E.164 may be in: those
// of the number's country. Where in a large country somebody is, a number does
// not tell: mobile ones belong to no area, and others are taken along. There are
// none for numbers of no country and for what is no number.
//
// Whoever must not be disturbed at night, and whose zone is not known, is so if
// it is night in any of them.
func Zones(e164 string) []string {
	if len(e164) > maxText || !strings.HasPrefix(e164, "+") {
		return nil
	}
	n, err := phonenumbers.Parse(e164, "")
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return nil
	}
	country := countryOf(n)
	if several := wide(country); several != "" {
		return strings.Fields(several)
	}
	if country == "" {
		return nil
	}
	zones, err := phonenumbers.GetTimezonesForNumber(n)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(zones), func(z string) bool { return z == phonenumbers.UNKNOWN_TIMEZONE })
}

// wide gives the zones of a country that has several which differ; of zones that
// do not, one stands for all.
func wide(country string) string {
	switch country {
	case "AU":
		return "Australia/Perth Australia/Eucla Australia/Darwin Australia/Adelaide Australia/Brisbane Australia/Sydney Australia/Lord_Howe"
	case "BR":
		return "America/Noronha America/Sao_Paulo America/Manaus America/Rio_Branco"
	case "CA":
		return "America/St_Johns America/Halifax America/Toronto America/Winnipeg America/Regina America/Edmonton America/Whitehorse America/Vancouver"
	case "CD":
		return "Africa/Kinshasa Africa/Lubumbashi"
	case "CL":
		return "America/Santiago America/Punta_Arenas Pacific/Easter"
	case "EC":
		return "America/Guayaquil Pacific/Galapagos"
	case "ES":
		return "Europe/Madrid Atlantic/Canary"
	case "FM":
		return "Pacific/Chuuk Pacific/Pohnpei"
	case "GL":
		return "America/Nuuk America/Thule America/Danmarkshavn"
	case "ID":
		return "Asia/Jakarta Asia/Makassar Asia/Jayapura"
	case "KI":
		return "Pacific/Tarawa Pacific/Enderbury Pacific/Kiritimati"
	case "MN":
		return "Asia/Ulaanbaatar Asia/Hovd"
	case "MX":
		return "America/Mexico_City America/Cancun America/Mazatlan America/Ciudad_Juarez America/Tijuana"
	case "NZ":
		return "Pacific/Auckland Pacific/Chatham"
	case "PF":
		return "Pacific/Tahiti Pacific/Marquesas Pacific/Gambier"
	case "PG":
		return "Pacific/Port_Moresby Pacific/Bougainville"
	case "PT":
		return "Europe/Lisbon Atlantic/Azores"
	case "RU":
		return "Europe/Kaliningrad Europe/Moscow Europe/Samara Asia/Yekaterinburg Asia/Omsk Asia/Krasnoyarsk Asia/Irkutsk Asia/Yakutsk Asia/Vladivostok Asia/Magadan Asia/Kamchatka"
	case "US":
		return "America/New_York America/Chicago America/Denver America/Phoenix America/Los_Angeles America/Anchorage America/Adak Pacific/Honolulu"
	}
	return ""
}
