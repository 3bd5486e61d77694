"""POTCARs for the stand-in: headers that say what a program reads in them, and nothing of VASP's data."""

HEADER = """  PAW_PBE {name} 01Jan2000
   {valence}.0000000000000
 parameters from PSCTR are:
   VRHFIN ={element}: stand-in
   LEXCH  = PE
   EATOM  =   100.0000 eV,    7.3500 Ry

   TITEL  = PAW_PBE {name} 01Jan2000
   LULTRA =        F    use ultrasoft PP ?
   RPACOR =    1.500    partial core radius
   POMASS =   10.000; ZVAL   = {valence:8.3f}    mass and valenz
   RCORE  =    1.900    outmost cutoff radius
   RWIGS  =    2.480; RWIGS  =    1.312    wigner-seitz radius (au A)
   ENMAX  =  {enmax:7.3f}; ENMIN  =  184.009 eV
   LPAW   =        T    paw PP
END of PSCTR-controll parameters
 STAND-IN: no potential data
 End of Dataset
"""
# Name: valence electrons, ENMAX in eV; numbers as they may be.
POTCARS = {'Si': (4, 250.0), 'Na_pv': (7, 260.0), 'Na_sv': (9, 640.0), 'Cl': (7, 265.0)}


def write_potcars(folder):
    """Write a folder for each POTCAR, as `aiida-vasp potcar uploadfamily` wants them."""
    for name, (valence, enmax) in POTCARS.items():
        (folder / name).mkdir(parents=True)
        element = name.partition('_')[0]
        text = HEADER.format(name=name, element=element, valence=valence, enmax=enmax)
        (folder / name / 'POTCAR').write_text(text)
